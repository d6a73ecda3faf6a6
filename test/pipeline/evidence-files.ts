/** v1 records in files, in every form that they are read in, and a receiver for them in the same process. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { type RunningReceive, startReceive } from "../../src/pipeline/receive.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

/** One for all of a process: a test's second try draws the same records, so that it can't pass by others. */
const SEED = Date.now() % 2 ** 31;

/** Records drawn from the schema; the seed is part of a failure's message. */
export function drawRecords(count: number, seed: number = SEED): EvidenceRecord[] {
  const records = fc.sample(anyEvidenceRecord, { numRuns: count, seed });
  process.once(
    "exit",
    (code) => code !== 0 && process.stderr.write(`records were drawn with seed ${seed}\n`),
  );
  return records;
}

/** A record that says which one it is. */
export function numberedRecord(number: number): EvidenceRecord {
  const event = { type: "file_open", path: `/file/${number}` } as const;
  return { ts_ns: 1_000_000 + number, src: "test", pid: 1, comm: "c", event };
}

export const textOf = (record: EvidenceRecord): string => stringifyEvidence(record as unknown as JsonValue);

export const ndjson = (records: readonly EvidenceRecord[]): string =>
  records.map((record) => `${textOf(record)}\n`).join("");

/** Forms of one file of records. */
export const FORMS: Readonly<Record<string, (records: readonly EvidenceRecord[]) => Buffer>> = {
  "lines.ndjson": (records) => Buffer.from(ndjson(records)),
  "lines.ndjson.gz": (records) => gzipSync(ndjson(records)),
  "lines.ndjson.zst": (records) => zstdCompressSync(ndjson(records)),
  "array.json": (records) => Buffer.from(`[${records.map(textOf).join(",\n ")}]\n`),
  "array.json.gz": (records) => gzipSync(`[\n${records.map(textOf).join(",\n")}\n]`),
};

export function sameRecords(text: string, expected: readonly EvidenceRecord[]): void {
  const lines = text.trimEnd().split("\n");
  assert.equal(lines.length, expected.length);
  for (const [index, record] of expected.entries()) {
    const line = lines[index] as string;
    // Records may be large, and a difference of all their members says less than both of them.
    const same = isDeepStrictEqual(parseEvidenceJson(line), record);
    assert.ok(same, `record ${index}: ${textOf(record).slice(0, 2000)}\ncame as ${line.slice(0, 2000)}`);
  }
}

/** As `sameRecords`, in any order. */
export function sameRecordsInAnyOrder(text: string, expected: readonly EvidenceRecord[]): void {
  const found = text
    .trimEnd()
    .split("\n")
    .map((line) => canonicalText(parseEvidenceJson(line)));
  const wanted = expected.map((record) => canonicalText(record as unknown as JsonValue));
  assert.equal(found.length, wanted.length);
  const missing = new Map(wanted.map((text) => [text, 0]));
  for (const text of wanted) missing.set(text, (missing.get(text) ?? 0) + 1);
  for (const text of found) {
    const count = missing.get(text) ?? 0;
    assert.ok(count > 0, `a record came that was not sent: ${text.slice(0, 2000)}`);
    missing.set(text, count - 1);
  }
}

/** JSON with the members of objects in order: one text for a value. */
function canonicalText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join()}]`;
  if (typeof value !== "object" || value === null) return stringifyEvidence(value);
  const members = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, part]) => `${JSON.stringify(name)}:${canonicalText(part)}`).join()}}`;
}

/** A directory for one suite. */
export interface Scratch {
  path(name: string): string;
  write(name: string, content: string | Buffer): string;
  read(name: string): string;
  remove(): void;
}

export function scratch(): Scratch {
  const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-files-"));
  const path = (name: string) => join(directory, name);
  return {
    path,
    write(name, content) {
      writeFileSync(path(name), content);
      return path(name);
    },
    read: (name) => readFileSync(path(name), "utf8"),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export function receiveInto(
  output: string,
  more: { keepDuplicates?: boolean } = {},
): Promise<RunningReceive> {
  return startReceive({
    grpc: { port: 0 },
    http: { port: 0 },
    output,
    withExtensions: false,
    keepDuplicates: more.keepDuplicates ?? false,
    report: (line) => assert.fail(line),
  });
}
