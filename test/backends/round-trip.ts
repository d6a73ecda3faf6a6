/** Records that go through a real store, and what is read back of them. */

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import { stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeLoki } from "../../src/otlp/decode-loki.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { storeRefusal } from "../../src/otlp/store-limits.ts";
import { parseUid, toEvidence } from "../../src/otlp/to-evidence.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

export const STREAM_ID = "round-trip";
const SEND_TRIES_MAX = 50;

export interface Sample {
  /** To make the same records again. */
  readonly seed: number;
  readonly records: readonly EvidenceRecord[];
}

/** Records drawn from the schema; RUNTIME_EVIDENCE_TEST_SEED draws the same again. */
export function drawRecords(count: number): Sample {
  const given = process.env.RUNTIME_EVIDENCE_TEST_SEED;
  const seed = given === undefined ? Date.now() % 0x7fffffff : Number(given);
  return { seed, records: fc.sample(anyEvidenceRecord, { numRuns: count, seed }) };
}

export interface EncodeOptions {
  readonly serviceName: string;
  readonly startNs: bigint;
  readonly requestBytesMax: number;
}

export interface EncodedRecords {
  readonly requests: readonly Buffer[];
  /** Records that Loki would refuse, each as a request of its own. */
  readonly refused: ReadonlyMap<number, Buffer>;
}

/** One nanosecond apart from `startNs` on; the record at `index` has the sequence number `index`. */
export function encodeRecords(records: readonly EvidenceRecord[], options: EncodeOptions): EncodedRecords {
  const resources = createResourceSource({
    "service.name": options.serviceName,
    "host.name": "test",
    // As a resource detector adds them; the record's own have the same keys.
    "process.pid": 1,
    "process.command": "agent",
  });
  const requests: Buffer[] = [];
  const refused = new Map<number, Buffer>();
  const all = new RequestBuilder();
  const single = new RequestBuilder();
  for (const [sequence, record] of records.entries()) {
    const timeUnixNano = options.startNs + BigInt(sequence);
    const meta = {
      resources,
      timeUnixNano,
      observedTimeUnixNano: timeUnixNano,
      streamId: STREAM_ID,
      sequence,
    };
    encodeRecord(single, record, meta);
    const { body } = single.seal();
    const [decoded] = decodeRequest(body);
    assert.ok(decoded);
    if (storeRefusal("loki", decoded) !== undefined) {
      refused.set(sequence, body);
      continue;
    }
    encodeRecord(all, record, meta);
    if (all.byteLength > options.requestBytesMax) requests.push(all.seal().body);
  }
  if (all.recordCount > 0) requests.push(all.seal().body);
  return { requests, refused };
}

/** Sends a request as protobuf, or as JSON; tries again while the other side is busy. */
export async function sendRequest(
  url: string,
  body: Buffer,
  as: "protobuf" | "json" = "protobuf",
): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await fetch(`${url}/v1/logs`, {
      method: "POST",
      headers: { "content-type": as === "json" ? "application/json" : "application/x-protobuf" },
      body: as === "json" ? requestToJson(body) : new Uint8Array(body),
      signal: AbortSignal.timeout(20_000),
    });
    if (![429, 503].includes(response.status) || tries === SEND_TRIES_MAX) return response;
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Every log record of the items, decoded. Nothing may be rejected or cut. */
export async function decodeAll(source: AsyncIterable<readonly StoredItem[]>): Promise<DecodedLogRecord[]> {
  const decoded: DecodedLogRecord[] = [];
  for await (const items of source) {
    for (const item of items) {
      assert.equal(item.kind, "request", JSON.stringify(item));
      if (item.kind !== "request") continue;
      if (item.encoding === "protobuf") decoded.push(...decodeRequest(item.body));
      else decoded.push(...(item.encoding === "loki" ? decodeLoki : decodeJson)(item.body.toString("utf8")));
    }
  }
  return decoded;
}

/** Each of `expected` came back exactly once, and equal. */
export function assertSame(
  decoded: readonly DecodedLogRecord[],
  { seed, records }: Sample,
  expected: (index: number) => boolean = () => true,
): void {
  const hint = `RUNTIME_EVIDENCE_TEST_SEED=${seed}`;
  const seen = new Set<number>();
  for (const logRecord of decoded) {
    const reversed = toEvidence(logRecord);
    assert.equal(reversed.kind, "evidence", `${hint} ${reversed.kind === "invalid" ? reversed.reason : ""}`);
    if (reversed.kind !== "evidence") continue;
    const index = parseUid(reversed.uid ?? "")?.sequence ?? -1;
    assert.ok(!seen.has(index), `${hint}: record ${index} came twice`);
    seen.add(index);
    if (isDeepStrictEqual(reversed.record, records[index])) continue;
    const [back, sent] = [reversed.record, records[index]].map((record) =>
      stringifyEvidence((record ?? null) as unknown as JsonValue).slice(0, 3000),
    );
    assert.fail(`${hint}: record ${index} changed\nfrom ${sent}\nto   ${back}`);
  }
  const missing = records.flatMap((_, index) => (expected(index) && !seen.has(index) ? [index] : []));
  assert.deepEqual(missing, [], `${hint}: records did not come back`);
}
