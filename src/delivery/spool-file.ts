/**
 * One sealed request as a file of the spool. The folder around it is described in `disk-queue.ts`, and both in
 * docs/spool-format.md.
 *
 *   offset  bytes  field (integers little-endian)
 *        0      4  magic "RESQ"
 *        4      2  version, 1
 *        6      2  header bytes: where the payload starts
 *        8      4  payload bytes; header and payload are the whole file
 *       12      4  CRC-32 of the payload
 *       16      4  records in the payload
 *       20      8  when it was sealed, milliseconds since the Unix epoch (IEEE 754 double)
 *       28      8  first sequence number
 *       36      8  last sequence number
 *       44      1  flags: 1 stream id, 2 first sequence, 4 last sequence, 8 records by probe; unset: not known
 *       45      1  bytes of the stream id
 *       46      1  probes
 *       47      1  zero
 *       48         stream id, UTF-8
 *                  per probe: 1 byte length of its name, the name in UTF-8, 8 bytes count of records
 *      end-4    4  CRC-32 of the header up to here
 *
 * The payload is the protobuf of `ExportLogsServiceRequest`, as it will be sent. The header has a checksum of its
 * own, so that a file whose payload is damaged still says which records are lost with it.
 */
import { crc32 } from "node:zlib";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { SealedRequest } from "./outcome.ts";
import type { RequestFacts } from "./queue.ts";

const MAGIC = 0x51534552;
const VERSION = 1;
const FIXED_BYTES = 48;
const CRC_BYTES = 4;

/** No header is longer: a stream id and some dozens of probes. */
export const SPOOL_HEADER_BYTES_MAX = 4096;

/** No request is larger; receivers of OTLP take 64 MiB at most, and most of them 4 to 20. */
export const SPOOL_PAYLOAD_BYTES_MAX = 256 * 1024 * 1024;

const HAS_STREAM = 1;
const HAS_FIRST = 2;
const HAS_LAST = 4;
const HAS_PROBES = 8;

export interface SpoolHeader {
  readonly facts: RequestFacts;
  readonly headerBytes: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

/** Why a file can't be sent, and what it would have been where its header is whole. */
export interface SpoolDamage {
  readonly damage: string;
  readonly facts?: RequestFacts;
}

/**
 * The header that goes before `request.body`.
 * @throws RuntimeEvidenceError `limit` where the request does not fit the format
 */
export function encodeSpoolHeader(request: SealedRequest): Buffer {
  const { body, streamId, firstSequence, lastSequence, recordsByProbe } = request;
  const stream = Buffer.from(streamId ?? "");
  const probes = Array.from(recordsByProbe ?? [], ([name, count]) => ({ name: Buffer.from(name), count }));
  const probeBytes = probes.reduce((sum, { name }) => sum + 1 + name.length + 8, 0);
  const headerBytes = FIXED_BYTES + stream.length + probeBytes + CRC_BYTES;
  const fits = stream.length < 256 && probes.length < 256 && probes.every(({ name }) => name.length < 256);
  if (!fits || headerBytes > SPOOL_HEADER_BYTES_MAX || body.byteLength > SPOOL_PAYLOAD_BYTES_MAX) {
    throw new RuntimeEvidenceError(
      "limit",
      `a request of ${body.byteLength} bytes and ${probes.length} probes does not fit into a spool file`,
    );
  }
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(VERSION, 4);
  header.writeUInt16LE(headerBytes, 6);
  header.writeUInt32LE(body.byteLength, 8);
  header.writeUInt32LE(crc32(body), 12);
  header.writeUInt32LE(request.recordCount, 16);
  header.writeDoubleLE(request.sealedAtUnixMs, 20);
  header.writeBigUInt64LE(BigInt(firstSequence ?? 0), 28);
  header.writeBigUInt64LE(BigInt(lastSequence ?? 0), 36);
  header[44] =
    (streamId === undefined ? 0 : HAS_STREAM) |
    (firstSequence === undefined ? 0 : HAS_FIRST) |
    (lastSequence === undefined ? 0 : HAS_LAST) |
    (recordsByProbe === undefined ? 0 : HAS_PROBES);
  header[45] = stream.length;
  header[46] = probes.length;
  let at = FIXED_BYTES + stream.copy(header, FIXED_BYTES);
  for (const { name, count } of probes) {
    header[at] = name.length;
    at += 1 + name.copy(header, at + 1);
    at = header.writeBigUInt64LE(BigInt(count), at);
  }
  header.writeUInt32LE(crc32(header.subarray(0, at)), at);
  return header;
}

/**
 * Reads and checks the header at the start of a file, and the size of the file against it.
 * @param head the first bytes of the file, up to `SPOOL_HEADER_BYTES_MAX`
 */
export function decodeSpoolHeader(head: Buffer, fileBytes: number): SpoolHeader | SpoolDamage {
  const damage = headerDamage(head);
  if (damage !== undefined) return { damage };
  const headerBytes = head.readUInt16LE(6);
  const payloadBytes = head.readUInt32LE(8);
  const facts = decodeFacts(head.subarray(0, headerBytes - CRC_BYTES));
  if (facts === undefined) return { damage: "its header contradicts itself" };
  const wholeBytes = headerBytes + payloadBytes;
  if (fileBytes !== wholeBytes) {
    return { damage: `it has ${fileBytes} bytes where its header says ${wholeBytes}`, facts };
  }
  return { facts, headerBytes, payloadBytes, payloadCrc: head.readUInt32LE(12) };
}

/** Reads and checks a whole file. The body is a part of `file`, not a copy. */
export function decodeSpoolFile(file: Buffer): SealedRequest | SpoolDamage {
  const header = decodeSpoolHeader(file, file.length);
  if ("damage" in header) return header;
  const body = file.subarray(header.headerBytes);
  if (crc32(body) !== header.payloadCrc) {
    return { damage: "the checksum of its payload is wrong", facts: header.facts };
  }
  return { body, ...header.facts };
}

function headerDamage(head: Buffer): string | undefined {
  if (head.length === 0) return "it is empty";
  if (head.length < FIXED_BYTES + CRC_BYTES) return `it has only ${head.length} bytes`;
  if (head.readUInt32LE(0) !== MAGIC) return "it does not start like a spool file";
  const version = head.readUInt16LE(4);
  if (version !== VERSION) return `it has version ${version} of the format, this build reads ${VERSION}`;
  const headerBytes = head.readUInt16LE(6);
  if (headerBytes < FIXED_BYTES + CRC_BYTES || headerBytes > Math.min(head.length, SPOOL_HEADER_BYTES_MAX)) {
    return `its header can't have ${headerBytes} bytes`;
  }
  const end = headerBytes - CRC_BYTES;
  if (crc32(head.subarray(0, end)) !== head.readUInt32LE(end)) return "the checksum of its header is wrong";
  return undefined;
}

/** The checksum has held: what does not add up here was written so. */
function decodeFacts(header: Buffer): RequestFacts | undefined {
  const flags = header[44] as number;
  const streamEnd = FIXED_BYTES + (header[45] as number);
  const first = Number(header.readBigUInt64LE(28));
  const last = Number(header.readBigUInt64LE(36));
  const recordsByProbe = decodeProbes(header, streamEnd, header[46] as number);
  if (recordsByProbe === undefined || !Number.isSafeInteger(first) || !Number.isSafeInteger(last))
    return undefined;
  return {
    recordCount: header.readUInt32LE(16),
    sealedAtUnixMs: header.readDoubleLE(20),
    ...(flags & HAS_STREAM ? { streamId: header.toString("utf8", FIXED_BYTES, streamEnd) } : {}),
    ...(flags & HAS_FIRST ? { firstSequence: first } : {}),
    ...(flags & HAS_LAST ? { lastSequence: last } : {}),
    ...(flags & HAS_PROBES ? { recordsByProbe } : {}),
  };
}

function decodeProbes(header: Buffer, start: number, probes: number): Map<string, number> | undefined {
  const counts = new Map<string, number>();
  let at = start;
  for (let index = 0; index < probes; index++) {
    const countAt = at + 1 + (header[at] ?? 0);
    if (countAt + 8 > header.length) return undefined;
    const count = Number(header.readBigUInt64LE(countAt));
    if (!Number.isSafeInteger(count)) return undefined;
    counts.set(header.toString("utf8", at + 1, countAt), count);
    at = countAt + 8;
  }
  return at === header.length ? counts : undefined;
}
