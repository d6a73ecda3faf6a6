/** The command line as users have it, for tests of delivery: `export` of made records, and `verify` of what was stored. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Books, CLI } from "../kernel/live.ts";
import { type StartedProcess, startProcess } from "../process.ts";

const LINES_PER_CHUNK = 1000;

/** `count` v1 records as NDJSON, made as they are read; `onRead` is told how many were. */
export function madeRecords(count: number, onRead: (records: number) => void = () => {}): Readable {
  function* chunks(): Generator<string> {
    for (let first = 0; first < count; first += LINES_PER_CHUNK) {
      let text = "";
      for (let number = first; number < Math.min(count, first + LINES_PER_CHUNK); number++) {
        text += `{"ts_ns":${1_000_000 + number},"src":"sys_enter_openat","pid":${1 + (number % 30_000)},"comm":"made","event":{"type":"file_open","path":"/made/${number}","flags":0}}\n`;
      }
      yield text;
      onRead(Math.min(count, first + LINES_PER_CHUNK));
    }
  }
  return Readable.from(chunks());
}

/** What `export --summary json` says. */
export interface ExportSummary {
  readonly read: number;
  readonly exported: number;
  readonly spooled: number;
  readonly lost: Readonly<Record<string, number>>;
}

/** Starts `export -` of made records. */
export function startExporter(args: readonly string[], input: Readable): Promise<StartedProcess> {
  return startProcess({
    command: process.execPath,
    args: [CLI, "export", "-", "--summary", "json", "--otlp-protocol", "grpc", ...args],
    input,
    outputBytesMax: 16 * 1024 * 1024,
  });
}

/** The last line on standard error that is the summary of an export. */
export function exportSummary(run: StartedProcess): ExportSummary {
  const line = run
    .output()
    .stderr.split("\n")
    .findLast((text) => text.startsWith('{"read"'));
  assert.ok(line !== undefined, `no summary:\n${run.output().stderr}`);
  return JSON.parse(line) as ExportSummary;
}

/** A directory that whoever root becomes can get into; spools go below it. */
export function openDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-run-"));
  chmodSync(directory, 0o755);
  return directory;
}

/** Starts a live capture of file opens; resolves when it captures. */
export function startOpensCapture(endpoint: string, args: readonly string[]): Promise<StartedProcess> {
  const directory = openDirectory();
  const frames = join(directory, "ready.frames");
  const sink = ["--otlp-protocol", "grpc", "--otlp-endpoint", endpoint, "--summary", "json"];
  return startProcess({
    command: process.execPath,
    args: [CLI, "capture", "--events", "file_open", "--record", frames, ...sink, ...args],
    // The first frame comes when all is attached.
    isReady: () => existsSync(frames) && statSync(frames).size > 0,
    outputBytesMax: 16 * 1024 * 1024,
    stopTimeoutMs: 60_000,
  }).finally(() => rmSync(directory, { recursive: true }));
}

/** What `verify --json` says of a stream. */
export interface VerifiedStream {
  readonly streamId: string;
  readonly state: "ended" | "unended";
  readonly reportedUnended: boolean;
  readonly records: number;
  readonly control: number;
  readonly duplicates: number;
  readonly lastSequence: number;
  readonly missing: number;
  readonly unexplained: number;
  readonly explained: Readonly<Record<string, number>>;
  /** How often the stream says that nobody knows what its probe saw. */
  readonly probeDownTimes: number;
  readonly unnumbered: readonly { reason: string; probe: string; count: number }[];
}

export interface Verified {
  readonly code: number | null;
  readonly verdict: string;
  readonly summary: string;
  readonly badMessages: number;
  readonly streams: readonly VerifiedStream[];
}

/** Verifies stored files. */
export async function verifyStored(paths: readonly string[]): Promise<Verified> {
  const run = await startProcess({
    command: process.execPath,
    args: [CLI, "verify", "--json", ...paths],
    outputBytesMax: 16 * 1024 * 1024,
  });
  const { code } = await run.exited;
  const { stdout, stderr } = run.output();
  assert.ok(stdout !== "", stderr);
  return { code, ...(JSON.parse(stdout) as Omit<Verified, "code">) };
}

export function onlyStream({ streams, summary }: Verified): VerifiedStream {
  const [stream, ...others] = streams;
  assert.ok(stream !== undefined && others.length === 0, summary);
  return stream;
}

/** All that the books of a capture have as exported is there, and its loss records say what the books have as lost. */
export function assertReported(verified: Verified, books: readonly Books[]): void {
  const { missing, unexplained, records, unnumbered } = onlyStream(verified);
  assert.deepEqual({ missing, unexplained }, { missing: 0, unexplained: 0 }, verified.summary);
  assert.equal(
    records,
    books.reduce((sum, { exported }) => sum + Number(exported), 0),
  );
  const reported = unnumbered.map(({ reason, probe, count }) => [probe, reason, Number(count)]);
  const booked = books.flatMap(({ probe, lost }) =>
    Object.entries(lost).map(([reason, count]) => [probe, reason, Number(count)]),
  );
  assert.deepEqual(reported.toSorted(), booked.toSorted());
}
