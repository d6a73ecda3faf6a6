import assert from "node:assert/strict";
import type { Logger } from "@opentelemetry/api";
import { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  InMemoryLogRecordExporter,
  LoggerProvider,
  type LogRecordLimits,
  type ReadableLogRecord,
  SimpleLogRecordProcessor,
} from "@opentelemetry/sdk-logs";
import fc from "fast-check";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { emitEvidence, fromLogRecord } from "../../src/index.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

/** A Logger of a real SDK, and what it has given to its exporter since the last call. */
function sdk(logRecordLimits: LogRecordLimits = {}): { logger: Logger; exported(): ReadableLogRecord[] } {
  const exporter = new InMemoryLogRecordExporter();
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ "service.name": "app", "container.id": "of the app" }),
    processors: [new SimpleLogRecordProcessor({ exporter })],
    logRecordLimits,
  });
  return {
    logger: provider.getLogger("app"),
    exported() {
      const logs = [...exporter.getFinishedLogRecords()];
      exporter.reset();
      return logs;
    },
  };
}

function roundTrip(limits: LogRecordLimits, record: EvidenceRecord) {
  const { logger, exported } = sdk(limits);
  emitEvidence(logger, record, { uid: { streamId: "stream", sequence: 12345 } });
  const [log, ...others] = exported();
  assert.ok(log);
  assert.equal(others.length, 0);
  return fromLogRecord(log);
}

const example: EvidenceRecord = {
  ts_ns: 1_737_890_000_123_456_789n,
  src: "sys_enter_connect",
  pid: 7,
  container_id: `docker://${"b".repeat(64)}`,
  image_digest: `sha256:${"c".repeat(64)}`,
  comm: "curl",
  event: { type: "net_connect", addr: "10.0.0.1", port: 443, success: false, error: 111 },
};

describe("evidence emitted through a Logger", () => {
  it("comes back exactly, from the SDK and from its protobuf", () => {
    const { logger, exported } = sdk();
    fc.assert(
      fc.property(fc.array(anyEvidenceRecord, { minLength: 1, maxLength: 5 }), (records) => {
        for (const record of records) emitEvidence(logger, record);
        const logs = exported();
        const results = [
          ...logs.map(fromLogRecord),
          ...decodeRequest(ProtobufLogsSerializer.serializeRequest(logs) as Uint8Array).map(toEvidence),
        ];
        const rebuilt = results.map((result) => (result.kind === "evidence" ? result.record : result));
        assert.deepStrictEqual(rebuilt, [...records, ...records]);
      }),
      { numRuns: 400 },
    );
  }).timeout(60_000);

  it("has everything that a log record has, and leaves the Resource to the program", () => {
    const { logger, exported } = sdk();
    emitEvidence(logger, example, { observedTimeUnixNano: 1_737_890_001_000_000_002n });
    const [log] = exported();
    assert.ok(log);
    assert.equal(log.eventName, "runtime_evidence.net_connect");
    assert.deepEqual(log.hrTime, [1_737_890_000, 123_456_789]);
    assert.deepEqual(log.hrTimeObserved, [1_737_890_001, 2]);
    assert.equal(log.severityNumber, 13);
    assert.equal(log.body, "curl[7] net_connect 10.0.0.1 port 443 (error 111)");
    assert.equal(log.attributes["error.type"], "ECONNREFUSED");
    assert.equal(log.attributes["runtime_evidence.container.id"], example.container_id);
    assert.equal(log.attributes["container.id"], undefined);
    assert.deepEqual(log.resource.attributes, { "service.name": "app", "container.id": "of the app" });
  });

  it("is of its own container, not of the one that the program's Resource names", () => {
    const { logger, exported } = sdk();
    emitEvidence(logger, example);
    const [decoded] = decodeRequest(ProtobufLogsSerializer.serializeRequest(exported()) as Uint8Array);
    const resource = new Map(decoded?.resource.attributes).set("runtime_evidence.container.id", "another");
    (decoded as DecodedLogRecord).resource.attributes = resource;
    const result = toEvidence(decoded as DecodedLogRecord);
    assert.equal(result.kind === "evidence" && result.record.container_id, example.container_id);
  });
});

describe("evidence under the SDK's limits", () => {
  it("is whole or known to be incomplete, whatever the number of attributes is limited to", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, fc.integer({ min: 1, max: 40 }), (record, attributeCountLimit) => {
        const result = roundTrip({ attributeCountLimit }, record);
        if (result.kind === "evidence") assert.deepStrictEqual(result.record, record);
        else assert.match(result.kind === "invalid" ? result.reason : "", /attributes were dropped/);
      }),
      { numRuns: 300 },
    );
    const limited = roundTrip({ attributeCountLimit: 8 }, example);
    assert.match(
      limited.kind === "invalid" ? limited.reason : "",
      /^\d+ attributes were dropped on the way$/,
    );
  }).timeout(30_000);

  it("is whole or known to be incomplete, whatever the length of values is limited to", () => {
    fc.assert(
      fc.property(
        anyEvidenceRecord,
        fc.integer({ min: 1, max: 400 }),
        (record, attributeValueLengthLimit) => {
          const result = roundTrip({ attributeValueLengthLimit }, record);
          if (result.kind === "evidence") {
            assert.deepStrictEqual(result.record, record);
            assert.equal(result.uid, "stream-12345");
          }
        },
      ),
      { numRuns: 500 },
    );
  }).timeout(30_000);

  it("says so when a value was cut", () => {
    const file: EvidenceRecord = { ...example, event: { type: "file_open", path: `/${"d".repeat(200)}` } };
    assert.equal(roundTrip({ attributeValueLengthLimit: 201 }, file).kind, "evidence");
    const cut = roundTrip({ attributeValueLengthLimit: 200 }, file);
    assert.equal(cut.kind, "invalid");
    assert.match(cut.kind === "invalid" ? cut.reason : "", /residual/);
  });
});
