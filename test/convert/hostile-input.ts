/** Input that nobody in good faith would store, as chunks that are made while they are read. */

import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";

const MIB = 1024 * 1024;

export interface HostileInput {
  /** `totalBytes` is how much it is at least, uncompressed. */
  chunks(totalBytes: number): Iterable<Buffer>;
  /** Arguments of `convert` behind the input. */
  readonly args?: readonly string[];
  /** What standard error has to hold. */
  readonly says: RegExp;
  readonly exitCode: number;
}

function frame(body: Buffer, length = body.length): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  return Buffer.concat([prefix, body]);
}

/** Length-delimited field; the length is a varint. */
function field(number: number, content: Buffer): Buffer {
  const header = [number * 8 + 2];
  for (let rest = content.length; ; rest = Math.floor(rest / 128)) {
    header.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) return Buffer.concat([Buffer.from(header), content]);
  }
}

function text(content: string): Buffer {
  return field(1, Buffer.from(content));
}

/** A framed request of one log record. */
function requestOf(logRecord: Buffer): Buffer {
  return frame(field(1, field(2, field(2, logRecord))));
}

/** An item of an array: a value that is a map of nothing. */
const EMPTY_MAP = Buffer.from([0x0a, 0x02, 0x32, 0x00]);

function* repeat(chunk: Buffer, totalBytes: number): Generator<Buffer> {
  for (let byteCount = 0; byteCount < totalBytes; byteCount += chunk.length) yield chunk;
}

/** The same bytes in each run. */
function* random(totalBytes: number, head: readonly number[]): Generator<Buffer> {
  const chunk = Buffer.alloc(MIB);
  for (let index = 0; index * MIB < totalBytes; index++) {
    for (let offset = 0; offset < MIB; offset += 4096) {
      const seed = createHash("sha512").update(`${index} ${offset}`).digest();
      chunk.fill(seed, offset, offset + 4096);
    }
    if (index === 0) chunk.set(head);
    yield Buffer.from(chunk);
  }
}

const letters = Buffer.alloc(MIB, "x");
const emptyRecords = Buffer.from(",{}".repeat(MIB / 3));
const jsonHead = `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{}`;
const jsonTail = "]}]}]}\n";

export const hostileInputs: Readonly<Record<string, HostileInput>> = {
  "random bytes": {
    chunks: (totalBytes) => random(totalBytes, [0xff, 0xd8]),
    says: /standard input: the input is no stored logs/,
    exitCode: 3,
  },
  "random bytes that start like protobuf": {
    chunks: (totalBytes) => random(totalBytes, [0x0a]),
    says: /byte \d+: .*(not a protobuf field|over the limit of 67108864 bytes)/,
    exitCode: 3,
  },
  zeros: {
    chunks: (totalBytes) => repeat(Buffer.alloc(MIB), totalBytes),
    says: /standard input: the input is no stored logs/,
    exitCode: 3,
  },
  "a line without an end": {
    *chunks(totalBytes) {
      yield Buffer.from(`{"resourceLogs":[]}\n{"resourceLogs":["`);
      yield* repeat(letters, totalBytes);
    },
    says: /standard input:2: message of \d+ bytes is over the limit of 67108864 bytes/,
    exitCode: 3,
  },
  "a gzip bomb": {
    *chunks(totalBytes) {
      yield gzipSync(`{"resourceLogs":[]}\n`);
      yield* repeatCompressed(gzipSync(Buffer.alloc(16 * MIB, "x")), totalBytes);
    },
    says: /standard input:2: (message of \d+ bytes is over the limit|line is not a JSON object)/,
    exitCode: 3,
  },
  "a zstd bomb": {
    *chunks(totalBytes) {
      yield zstdCompressSync(`{"resourceLogs":[]}\n`);
      yield* repeatCompressed(zstdCompressSync(Buffer.alloc(16 * MIB, "x")), totalBytes);
    },
    says: /standard input:2: (message of \d+ bytes is over the limit|line is not a JSON object)/,
    exitCode: 3,
  },
  "messages that are zstd bombs": {
    *chunks(totalBytes) {
      const bomb = frame(zstdCompressSync(Buffer.alloc(80 * MIB)));
      for (let byteCount = 0; byteCount < totalBytes; byteCount += 80 * MIB) yield bomb;
    },
    says: /byte 4: message decompresses to more than the limit of 67108864 bytes/,
    exitCode: 3,
  },
  "JSON that is a million levels deep": {
    *chunks() {
      yield Buffer.from(`{"resourceLogs":${"[".repeat(1e6)}${"]".repeat(1e6)}}\n`);
    },
    says: /standard input:1: .*character \d+/,
    exitCode: 3,
  },
  "an attribute that is a million levels deep": {
    *chunks() {
      const deep = `{"arrayValue":{"values":[`.repeat(1e5);
      yield Buffer.from(`${jsonHead},{"body":${deep}${"]}}".repeat(1e5)}}${jsonTail}`);
    },
    says: /standard input:1: .*(deep|levels)/,
    exitCode: 3,
  },
  "a v1 record that is ninety thousand levels deep": {
    *chunks() {
      yield Buffer.from(`{"ts_ns":1,"event":${"[".repeat(9e4)}${"]".repeat(9e4)}}\n`);
    },
    args: ["--to", "otlp-json"],
    says: /standard input:1: .*(deep|levels)/,
    exitCode: 3,
  },
  "a length of 4 GiB": {
    *chunks(totalBytes) {
      yield frame(Buffer.from([0x0a, 0x00]));
      yield frame(letters, 0xffffffff);
      yield* repeat(letters, totalBytes);
    },
    says: /byte 6: no whole message: \d+ bytes at byte 6 were passed over/,
    exitCode: 3,
  },
  "up to 60 MiB of empty log records in protobuf": {
    *chunks(totalBytes) {
      const records = Buffer.alloc(Math.min(totalBytes / 8, 60 * MIB), Buffer.from([0x12, 0x00]));
      yield frame(field(1, field(2, records)));
    },
    says: /^0 records, [\d,]+ log records of others passed over$/m,
    exitCode: 0,
  },
  "up to 60 MiB of empty log records in JSON": {
    *chunks(totalBytes) {
      yield Buffer.from(jsonHead);
      yield* repeat(emptyRecords, Math.max(17 * MIB, Math.min(totalBytes / 8, 60 * MIB)));
      yield Buffer.from(jsonTail);
    },
    says: /^0 records, [\d,]+ log records of others passed over$/m,
    exitCode: 0,
  },
  "4 MiB of empty log records in JSON": {
    *chunks() {
      yield Buffer.from(jsonHead);
      yield* repeat(emptyRecords, 4 * MIB);
      yield Buffer.from(jsonTail);
    },
    says: /standard input:1: .*more than 100000 log records in one request at character \d+/,
    exitCode: 3,
  },
  "up to 60 MiB of messages on one line, none of them whole": {
    *chunks(totalBytes) {
      yield Buffer.from(`{"resourceLogs":[]}\n`);
      yield* repeat(Buffer.from(`{"resourceLogs"}`.repeat(MIB / 16)), Math.min(totalBytes, 60 * MIB));
      yield Buffer.from("\n");
    },
    says: /standard input: more is rejected, which is only counted from here on/,
    exitCode: 3,
  },
  "a v1 record of many small values": {
    *chunks() {
      yield Buffer.from(`{"ts_ns":1,"event":{"a":[[]`);
      yield Buffer.from(",[]".repeat((4 * MIB - 100) / 3));
      yield Buffer.from("]}}\n");
    },
    args: ["--to", "otlp-json"],
    says: /standard input:1: record has more than 100000 members and items/,
    exitCode: 3,
  },
  "a log record of many small maps in protobuf": {
    *chunks() {
      yield requestOf(field(5, field(5, Buffer.alloc(4 * MIB - 100, EMPTY_MAP))));
    },
    says: /byte \d+: log record has more than 100000 members and items/,
    exitCode: 3,
  },
  "a log record of many small maps in JSON": {
    *chunks() {
      yield Buffer.from(`${jsonHead},{"body":{"arrayValue":{"values":[{}`);
      yield Buffer.from(`,{"kvlistValue":{}}`.repeat((6 * MIB) / 20));
      yield Buffer.from(`]}}}${jsonTail}`);
    },
    says: /^0 records, 2 log records of others passed over$/m,
    exitCode: 0,
  },
  "log records of many small maps in JSON, some spelt with escapes": {
    *chunks() {
      yield Buffer.from(jsonHead);
      for (const name of ["kvlistValue", "kvlist_value", "\\u006bvlistValue"]) {
        yield Buffer.from(`,{"body":{"arrayValue":{"values":[{}`);
        yield Buffer.from(`,{"${name}":{}}`.repeat((3.6 * MIB) / (name.length + 8)));
        yield Buffer.from("]}}}");
      }
      yield Buffer.from(jsonTail);
    },
    says: /standard input:1: log record has more than 100000 members and items/,
    exitCode: 3,
  },
  "a residual of many small values": {
    *chunks() {
      const json = `{"a":[[]${",[]".repeat((4 * MIB - 1000) / 3)}]}`;
      const attributes = [
        ["runtime_evidence.event.type", "file_open"],
        ["runtime_evidence.residual", json],
      ].map(([key = "", value = ""]) => field(6, Buffer.concat([text(key), field(2, text(value))])));
      yield requestOf(Buffer.concat(attributes));
    },
    says: /record rejected: runtime_evidence\.residual has more than 100000 members and items/,
    exitCode: 3,
  },
  "an entry of Loki with many small values": {
    *chunks() {
      yield Buffer.from(
        `{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[`,
      );
      yield Buffer.from(`["1","x",{"structuredMetadata":{"a":[[]${",[]".repeat((4 * MIB - 100) / 3)}]}}]`);
      yield Buffer.from("]}]}}\n");
    },
    says: /standard input:1: entry has more than 100000 members and items/,
    exitCode: 3,
  },
  "labels of many small values in CSV": {
    *chunks() {
      yield Buffer.from(`"Time","Line","labels"\n`);
      yield Buffer.from(`"1","x","{""a"":[[]${",[]".repeat((4 * MIB - 100) / 3)}]}"\n`);
    },
    says: /standard input:2: labels of the row: more than 100000 members and items/,
    exitCode: 3,
  },
};

/** Sixteen MiB each. */
function* repeatCompressed(member: Buffer, totalBytes: number): Generator<Buffer> {
  for (let byteCount = 0; byteCount < totalBytes; byteCount += 16 * MIB) yield member;
}
