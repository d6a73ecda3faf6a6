/**
 * What the way back costs: protobuf and JSON requests to log records, to v1 records, to validated NDJSON.
 * The bytes are those of the input. For scale: `JSON.parse` of the same OTLP JSON, the least that a reader that
 * builds all of its objects has to do, and `JSON.parse` and `JSON.stringify` of the v1 records that come out.
 *
 *     node bench/decode.ts [--records 500000] [--rounds 3] [--json]
 */
import { fileURLToPath } from "node:url";
import { stringifyEvidence } from "../src/evidence/json.ts";
import type { JsonValue } from "../src/evidence/record.ts";
import { createValidator } from "../src/evidence/validator.ts";
import { decodeJson } from "../src/otlp/decode-json.ts";
import { decodeRequest } from "../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../src/otlp/encode-record.ts";
import { createEvidenceLineWriter } from "../src/otlp/evidence-line.ts";
import { RequestBuilder } from "../src/otlp/request-builder.ts";
import { requestToJson } from "../src/otlp/request-json.ts";
import { createResourceSource } from "../src/otlp/resource.ts";
import { toEvidence } from "../src/otlp/to-evidence.ts";
import { type BenchCase, runCases } from "./case-runner.ts";

const requestRecords = 5000;
/** Since boot, and since the epoch, which is beyond the integers of a double. */
const clocks = { boot: 81_234_567_890_123n, epoch: 1_737_890_000_123_456_789n };

function request(firstNs: bigint): Buffer {
  const builder = new RequestBuilder();
  const resources = createResourceSource({ "service.name": "runtime-evidence", "host.name": "bench" });
  for (let index = 0; index < requestRecords; index++) {
    const nanoseconds = firstNs + BigInt(index * 1000);
    encodeRecord(
      builder,
      {
        ts_ns: nanoseconds < 2n ** 53n ? Number(nanoseconds) : nanoseconds,
        src: "sys_enter_openat",
        pid: 1000 + index,
        tid: 1000 + index,
        cgroup_id: 12_345,
        comm: "nginx",
        event: {
          type: "file_open",
          path: `/usr/lib/lib${index}.so`,
          flags: 524_288,
          access: "read",
          dfd: -100,
        },
      },
      {
        resources,
        timeUnixNano: clocks.epoch,
        observedTimeUnixNano: clocks.epoch,
        streamId: "0123456789abcdef",
        sequence: index,
      },
    );
  }
  return builder.seal().body;
}

/** Reads one request again and again; `read` returns how many records it was. */
function reading(input: Buffer | string, read: () => number): BenchCase {
  const bytesPerRecord = Buffer.byteLength(input) / requestRecords;
  return (records) => {
    let done = 0;
    while (done < records) done += read();
    return records * bytesPerRecord;
  };
}

const validate = createValidator();

const lineOf = createEvidenceLineWriter();

/** Rebuilds, validates and writes a record by the steps that take any; throws where it is not what it was. */
function lineByStep(logRecord: DecodedLogRecord): string {
  const result = toEvidence(logRecord);
  if (result.kind !== "evidence" || !validate(result.record as unknown as JsonValue).valid) {
    throw new Error("a record did not come back");
  }
  return stringifyEvidence(result.record as unknown as JsonValue);
}

/** As `convert` does it. */
function toNdjson(
  decoded: readonly DecodedLogRecord[],
  line = (logRecord: DecodedLogRecord) => lineOf(logRecord) ?? lineByStep(logRecord),
): number {
  let lines = "";
  for (const logRecord of decoded) lines += `${line(logRecord)}\n`;
  if (Buffer.from(lines).length < decoded.length * 100) throw new Error("lines are missing");
  return decoded.length;
}

const boot = request(clocks.boot);
const epoch = request(clocks.epoch);
const json = requestToJson(boot);
const epochJson = requestToJson(epoch);
const lines = v1Lines(boot);

/** The v1 records of a request as lines, for scale. */
function v1Lines(body: Buffer): Buffer[] {
  return decodeRequest(body).map((logRecord) => {
    const result = toEvidence(logRecord);
    if (result.kind !== "evidence") throw new Error("a record did not come back");
    return Buffer.from(stringifyEvidence(result.record as unknown as JsonValue));
  });
}

function rebuild(decoded: readonly DecodedLogRecord[]): number {
  return decoded.filter((logRecord) => toEvidence(logRecord).kind === "evidence").length;
}

runCases(fileURLToPath(import.meta.url), {
  "protobuf to validated NDJSON": reading(boot, () => toNdjson(decodeRequest(boot))),
  "protobuf to validated NDJSON, epoch times": reading(epoch, () => toNdjson(decodeRequest(epoch))),
  "protobuf to validated NDJSON, by way of records": reading(boot, () =>
    toNdjson(decodeRequest(boot), lineByStep),
  ),
  "protobuf to log records": reading(boot, () => decodeRequest(boot).length),
  "protobuf to v1 records": reading(boot, () => rebuild(decodeRequest(boot))),
  "OTLP JSON to validated NDJSON": reading(json, () => toNdjson(decodeJson(json))),
  "OTLP JSON to validated NDJSON, epoch times": reading(epochJson, () => toNdjson(decodeJson(epochJson))),
  "JSON.parse of the same OTLP JSON": reading(
    json,
    () => JSON.parse(json).resourceLogs.length * requestRecords,
  ),
  "JSON.parse and JSON.stringify of the same v1 records": reading(Buffer.concat(lines), () => {
    let bytes = 0;
    for (const line of lines) bytes += Buffer.byteLength(JSON.stringify(JSON.parse(line.toString())));
    if (bytes < requestRecords * 100) throw new Error("lines are missing");
    return requestRecords;
  }),
});
