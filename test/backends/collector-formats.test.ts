import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { JsonLogsSerializer, ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import { toLogRecord } from "../../src/sdk/log-record.ts";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";
import {
  assertSame,
  decodeAll,
  drawRecords,
  encodeRecords,
  type Sample,
  STREAM_ID,
  sendRequest,
} from "./round-trip.ts";

const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";
const RECORDS = LONG ? 20_000 : 1_000;
/** Far enough for a receiver's limits, and small enough that files hold several requests. */
const REQUEST_BYTES_MAX = 256 * 1024;
const NATIVE = "exporter.file.nativeCompression";

describe("records through the real Collector", function () {
  this.timeout(LONG ? 900_000 : 120_000);
  let collector: StartedCollector | undefined;
  let sample: Sample;

  before(function () {
    const reason = collectorMissing();
    if (reason !== undefined) skip(this, reason);
    sample = drawRecords(RECORDS);
  });
  afterEach(async () => {
    await collector?.remove();
    collector = undefined;
  });

  /** Starts a Collector, sends everything, and ends it, so that its files are whole. */
  async function store(
    featureGates: readonly string[],
    send: (endpoint: string) => Promise<void>,
  ): Promise<string> {
    collector = await startCollector({ config: "formats", featureGates });
    await send(collector.httpEndpoint);
    assert.deepEqual(await collector.stop(), { code: 0, signal: null });
    return collector.directory;
  }

  async function sendEncoded(endpoint: string): Promise<void> {
    const options = {
      serviceName: "test",
      startNs: 1_737_890_000_123_456_789n,
      requestBytesMax: REQUEST_BYTES_MAX,
    };
    const { requests, refused } = encodeRecords(sample.records, options);
    // The Collector has no limit for one record.
    for (const [index, request] of [...requests, ...refused.values()].entries()) {
      const response = await sendRequest(endpoint, request, index % 2 === 0 ? "protobuf" : "json");
      assert.equal(response.status, 200, await response.text());
    }
  }

  async function assertStored(path: string): Promise<void> {
    assert.ok(statSync(path).size > 0, path);
    assertSame(await decodeAll(readStoredRequests(path)), sample);
  }

  it("are the same from each format of its file exporter, and behind processors that add attributes", async () => {
    const directory = await store([], sendEncoded);
    for (const name of ["json", "proto", "json-zstd", "proto-zstd", "added"])
      await assertStored(join(directory, name));
    const added = readFileSync(join(directory, "added"), "utf8");
    for (const text of ["k8s.pod.ip", "added-pod", "overwritten", "another body", "renamed"]) {
      assert.ok(added.includes(text), `${text} was not added`);
    }
  });

  it("are the same from files that are compressed as a whole", async () => {
    const directory = await store([NATIVE], sendEncoded);
    for (const name of ["json-zstd", "proto-zstd"]) await assertStored(join(directory, name));
  });

  it("are the same when OpenTelemetry's own serializers have written them", async () => {
    const logs = sample.records.map((record, sequence) =>
      toLogRecord(record, { uid: { streamId: STREAM_ID, sequence } }),
    );
    const directory = await store([], async (endpoint) => {
      for (let start = 0; start < logs.length; start += 100) {
        const some = logs.slice(start, start + 100);
        const isJson = start % 200 === 0;
        const body = (isJson ? JsonLogsSerializer : ProtobufLogsSerializer).serializeRequest(some);
        assert.ok(body);
        const response = await fetch(`${endpoint}/v1/logs`, {
          method: "POST",
          headers: { "content-type": isJson ? "application/json" : "application/x-protobuf" },
          body: new Uint8Array(body),
          signal: AbortSignal.timeout(20_000),
        });
        assert.equal(response.status, 200, await response.text());
      }
    });
    for (const name of ["json", "proto", "added"]) await assertStored(join(directory, name));
  });
});
