/** A small valid file of each format that is read, and damage to it that a seed decides. */

import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { StoredFormat } from "../../src/convert/stored-requests.ts";
import { stringifyEvidence } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

export interface CorpusFile {
  readonly name: string;
  readonly format: StoredFormat;
  readonly bytes: Buffer;
}

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

/** Two requests of a few records each. */
function requestsOf(seed: number): { readonly protobuf: Buffer[]; readonly v1: string[] } {
  const resources = createResourceSource({ "service.name": "corpus" });
  const records = fc.sample(anyEvidenceRecord, { numRuns: 8, seed });
  const protobuf = [records.slice(0, 4), records.slice(4)].map((part, index) => {
    const builder = new RequestBuilder();
    for (const [position, record] of part.entries()) {
      const meta = { resources, timeUnixNano: 1n, observedTimeUnixNano: 2n, streamId: "corpus" };
      encodeRecord(builder, record, { ...meta, sequence: 4 * index + position });
    }
    return Buffer.from(builder.seal().body);
  });
  return { protobuf, v1: records.map((record) => stringifyEvidence(record as unknown as JsonValue)) };
}

const LOKI = `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"service_name":"x"},"values":[["1737890000123456789","open",{"structuredMetadata":{"runtime_evidence_event_type":"file_open","runtime_evidence_ts_ns":"12"}}]]},{"stream":{"runtime_evidence_event_type":"file_open","process_pid":"7"},"values":[["2","a"],["3","b"]]}]}}`;
const GRAFANA_JSON = `[{"line":"open","timestamp":"1737890000123456789","date":"2025-01-26","fields":{"runtime_evidence_event_type":"file_open","runtime_evidence_ts_ns":"12"}}]`;
const GRAFANA_CSV = `"Time","Line","labels"\n"2025-01-26 12:13:20","open","{""runtime_evidence_event_type"":""file_open""}"\n`;

export function corpus(seed: number): CorpusFile[] {
  const { protobuf, v1 } = requestsOf(seed);
  const json = protobuf.map((body) => requestToJson(body));
  const lines = Buffer.from(json.map((text) => `${text}\n`).join(""));
  const framed = Buffer.concat(protobuf.map(frame));
  const plain: [StoredFormat, string, string | Buffer][] = [
    ["otlp-json", "JSON lines", lines],
    ["otlp-json", "pretty JSON", JSON.stringify(JSON.parse(json[0] as string), null, 1)],
    ["otlp-proto", "one request", protobuf[0] as Buffer],
    ["otlp-proto-framed", "framed protobuf", framed],
    ["otlp-proto-framed", "framed JSON", Buffer.concat(json.map((text) => frame(Buffer.from(text))))],
    [
      "otlp-proto-framed",
      "framed zstd",
      Buffer.concat(protobuf.map((body) => frame(zstdCompressSync(body)))),
    ],
    ["v1", "v1 lines", v1.map((text) => `${text}\n`).join("")],
    ["v1", "v1 array", `[\n${v1.join(",\n")}\n]\n`],
    ["loki", "Loki", LOKI],
    ["grafana-json", "Grafana JSON", GRAFANA_JSON],
    ["grafana-csv", "Grafana CSV", GRAFANA_CSV],
  ];
  const files = plain.map(([format, name, bytes]) => ({ format, name, bytes: Buffer.from(bytes) }));
  const compressed = files.slice(0, 7).flatMap(({ format, name, bytes }): CorpusFile[] => [
    { format, name: `${name}, gzip`, bytes: gzipSync(bytes) },
    {
      format,
      name: `${name}, zstd of two frames`,
      bytes: Buffer.concat([zstdCompressSync(bytes.subarray(0, 9)), zstdCompressSync(bytes.subarray(9))]),
    },
  ]);
  return [...files, ...compressed];
}

/** Numbers that follow from `seed` (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Bytes that mean something to one format or another. */
const TOKENS = [
  '"',
  "{",
  "}",
  "[",
  "]",
  "\\",
  ",",
  "\n",
  "\0",
  "\xff",
  "1e999",
  "\x0a\xff\xff\xff\xff\x0f",
  "\x28\xb5\x2f\xfd",
  "\x1f\x8b",
].map((text) => Buffer.from(text, "latin1"));

/** `bytes` with one to four of: a flipped bit, a cut, an insertion, a part of `other`, a part twice. */
export function damage(bytes: Buffer, other: Buffer, random: (below: number) => number): Buffer {
  let damaged = Buffer.from(bytes);
  for (let count = 1 + random(4); count > 0 && damaged.length > 0; count--) {
    const at = random(damaged.length);
    const end = at + random(Math.min(64, damaged.length - at + 1));
    const from = random(other.length);
    const [before, behind] = [damaged.subarray(0, at), damaged.subarray(at)];
    switch (random(6)) {
      case 0:
        damaged[at] = (damaged[at] as number) ^ (1 << random(8));
        break;
      case 1:
        damaged = Buffer.concat([before, damaged.subarray(end)]);
        break;
      case 2:
        damaged = Buffer.concat([before, TOKENS[random(TOKENS.length)] as Buffer, behind]);
        break;
      case 3:
        damaged = Buffer.concat([before, other.subarray(from, from + random(64)), behind]);
        break;
      case 4:
        damaged = Buffer.concat([before, damaged.subarray(at, end), behind]);
        break;
      default:
        damaged = Buffer.from(before);
    }
  }
  return damaged;
}
