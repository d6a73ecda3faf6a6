/** What an earlier run left in a spool: found, checked as far as headers go, and counted. */
import { setImmediate as turn } from "node:timers/promises";
import type { RequestFacts } from "./queue.ts";
import { decodeSpoolHeader, SPOOL_HEADER_BYTES_MAX, type SpoolDamage } from "./spool-file.ts";
import { isLockName } from "./spool-lock.ts";
import { DAMAGED_FOLDER, readSpoolName } from "./spool-names.ts";
import { errorCode, isNoFile, type SpoolStorage } from "./spool-storage.ts";

/** Damaged files that are named at most; the rest is counted. */
export const DAMAGED_NAMES_MAX = 100;

/** Headers read before other work of the process gets its turn. */
const READS_AT_ONCE = 64;

/**
 * What is older is on disk, whatever the earlier run forced there: the kernel writes what is dirty for 30 s
 * (vm.dirty_expire_centisecs), and looks for it every 5 s. A time in the future, of a clock that was set back, is
 * young.
 */
const WRITTEN_BY_KERNEL_MS = 60_000;

export interface RecoveredStream {
  readonly requests: number;
  readonly records: number;
  /** Highest sequence number that is left, where requests say theirs. */
  readonly lastSequence: number | undefined;
}

export interface DamagedFile {
  readonly file: string;
  readonly reason: string;
  /** How many records are lost with it; not known where its header is damaged too. */
  readonly records: number | undefined;
}

/** What was left. */
export interface RecoveredSpool {
  readonly requests: number;
  readonly records: number;
  /** Requests and records by the stream they belong to. */
  readonly streams: ReadonlyMap<string, RecoveredStream>;
  /** Streams that began and never ended, by `beginStream` and `endStream`; sorted. */
  readonly unendedStreams: readonly string[];
  /** Files found damaged and set aside; the first `DAMAGED_NAMES_MAX`. */
  readonly damaged: readonly DamagedFile[];
  readonly damagedFiles: number;
  /** Files that the disk would not give; they stay for the next start. */
  readonly unreadableFiles: number;
  /** Half-written files, whose offers never resolved; removed. */
  readonly temporaryFiles: number;
  /** Names that are no part of a spool; left alone. */
  readonly unknownFiles: number;
}

/** A request that waits in its file. */
export interface RecoveredRequest {
  readonly sequence: number;
  readonly fileBytes: number;
  /** Without the counts by probe. */
  readonly facts: RequestFacts;
  /** It may have been written a moment ago, and not be on disk. */
  readonly young: boolean;
}

/** What has to happen with what was found. */
export interface SpoolScan {
  /** In the order of offers. */
  readonly requests: readonly RecoveredRequest[];
  readonly damaged: readonly { readonly name: string; readonly damage: SpoolDamage }[];
  /** An error of the disk is no damage: what is in these nobody knows yet. */
  readonly unreadable: readonly { readonly name: string; readonly error: unknown }[];
  readonly temporary: readonly string[];
  readonly streamIds: readonly string[];
  readonly unknown: readonly string[];
  /** Higher than that of every file. */
  readonly nextSequence: number;
}

/** Looks at every file; changes nothing. Rejects where the directory can't be read. */
export async function scanSpool(storage: SpoolStorage): Promise<SpoolScan> {
  const requests: RecoveredRequest[] = [];
  const damaged: { name: string; damage: SpoolDamage }[] = [];
  const unreadable: { name: string; error: unknown }[] = [];
  const names = { temporary: [] as string[], streamIds: [] as string[], unknown: [] as string[] };
  const files: { name: string; sequence: number }[] = [];
  for (const name of (await storage.names()).sort()) {
    const meaning = readSpoolName(name);
    if (meaning.kind === "request") files.push({ name, sequence: meaning.sequence });
    else if (meaning.kind === "temporary") names.temporary.push(name);
    else if (meaning.kind === "stream") names.streamIds.push(meaning.streamId);
    else if (name !== DAMAGED_FOLDER && !isLockName(name)) names.unknown.push(name);
  }
  for (const [index, { name, sequence }] of files.entries()) {
    if (index % READS_AT_ONCE === 0) await turn();
    const found = await readRequest(storage, name, sequence);
    if ("error" in found) unreadable.push({ name, error: found.error });
    else if ("damage" in found) damaged.push({ name, damage: found });
    else requests.push(found);
  }
  return { ...names, requests, damaged, unreadable, nextSequence: (files.at(-1)?.sequence ?? 0) + 1 };
}

/** For the reader of `DiskQueue.recovered`. */
export function summarizeScan(scan: SpoolScan): RecoveredSpool {
  const streams = new Map<string, RecoveredStream>();
  let records = 0;
  for (const { facts } of scan.requests) {
    records += facts.recordCount;
    if (facts.streamId === undefined) continue;
    const known = streams.get(facts.streamId);
    streams.set(facts.streamId, {
      requests: (known?.requests ?? 0) + 1,
      records: (known?.records ?? 0) + facts.recordCount,
      lastSequence: higher(known?.lastSequence, facts.lastSequence),
    });
  }
  return {
    requests: scan.requests.length,
    records,
    streams,
    unendedStreams: scan.streamIds,
    damaged: scan.damaged.slice(0, DAMAGED_NAMES_MAX).map(({ name, damage }) => {
      return { file: name, reason: damage.damage, records: damage.facts?.recordCount };
    }),
    damagedFiles: scan.damaged.length,
    unreadableFiles: scan.unreadable.length,
    temporaryFiles: scan.temporary.length,
    unknownFiles: scan.unknown.length,
  };
}

async function readRequest(
  storage: SpoolStorage,
  name: string,
  sequence: number,
): Promise<RecoveredRequest | SpoolDamage | { readonly error: unknown }> {
  try {
    const { head, fileBytes, writtenAtUnixMs } = await storage.readHead(name, SPOOL_HEADER_BYTES_MAX);
    const header = decodeSpoolHeader(head, fileBytes);
    if ("damage" in header) return header;
    const { recordsByProbe: _, ...facts } = header.facts;
    return { sequence, fileBytes, facts, young: Date.now() - writtenAtUnixMs < WRITTEN_BY_KERNEL_MS };
  } catch (error) {
    return isNoFile(error) ? { damage: `it can't be read (${errorCode(error)})` } : { error };
  }
}

function higher(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one;
}
