import assert from "node:assert/strict";
import { uptime } from "node:os";
import { JsonLogsSerializer, ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import fc from "fast-check";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { fromLogRecord, parse, RuntimeEvidenceError, toLogRecord } from "../../src/index.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { type Reversed, toEvidence } from "../../src/otlp/to-evidence.ts";
import { anyEvidenceRecord, schemaText } from "../evidence/record-arbitrary.ts";

const meta = {
  observedTimeUnixNano: 1_737_890_001_000_000_001n,
  bootTimeUnixNano: 1_700_000_000_000_000_000n,
};
const uid = (sequence: number) => ({ streamId: "stream", sequence });
const records = fc.array(anyEvidenceRecord, { minLength: 1, maxLength: 5 });

function evidence(result: Reversed): EvidenceRecord {
  assert.equal(result.kind, "evidence", result.kind === "invalid" ? result.reason : "");
  return (result as Reversed & { kind: "evidence" }).record;
}

/** The records of a request, in the order in which they were made: a request groups them by resource. */
function inOrder(decoded: readonly DecodedLogRecord[]): EvidenceRecord[] {
  const sequence = (record: DecodedLogRecord) =>
    Number(/\d+$/.exec(String(record.attributes.get("log.record.uid")))?.[0]);
  return decoded
    .toSorted((one, other) => sequence(one) - sequence(other))
    .map((record) => evidence(toEvidence(record)));
}

const readables = (from: readonly EvidenceRecord[]): ReadableLogRecord[] =>
  from.map((record, index) => toLogRecord(record, { ...meta, uid: uid(index) }));

describe("a record as a log record of OpenTelemetry's SDK", () => {
  it("comes back exactly from OpenTelemetry's protobuf", () => {
    fc.assert(
      fc.property(records, (originals) => {
        const body = ProtobufLogsSerializer.serializeRequest(readables(originals));
        assert.deepStrictEqual(inOrder(decodeRequest(body as Uint8Array)), originals);
      }),
      { numRuns: 400 },
    );
  }).timeout(60_000);

  it("comes back exactly from OpenTelemetry's JSON", () => {
    fc.assert(
      fc.property(records, (originals) => {
        const body = JsonLogsSerializer.serializeRequest(readables(originals));
        assert.deepStrictEqual(inOrder(decodeJson(Buffer.from(body as Uint8Array).toString())), originals);
      }),
      { numRuns: 400 },
    );
  }).timeout(60_000);

  it("comes back exactly in the same process", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        assert.deepStrictEqual(evidence(fromLogRecord(toLogRecord(record))), record);
      }),
      { numRuns: 500 },
    );
  }).timeout(30_000);

  it("carries what our own encoder writes, integers beyond 2^53 as decimal text", () => {
    const resource = resourceFromAttributes({ "service.name": "test" });
    const resources = createResourceSource({ "service.name": "test" });
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const log = toLogRecord(record, { ...meta, resource, uid: uid(1) });
        const [seconds, nanoseconds] = log.hrTime;
        const builder = new RequestBuilder();
        const timeUnixNano = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
        encodeRecord(builder, record, { ...meta, timeUnixNano, resources, streamId: "stream", sequence: 1 });
        const [ours] = decodeRequest(builder.seal().body);
        assert.ok(ours);
        const [theirs] = decodeRequest(ProtobufLogsSerializer.serializeRequest([log]) as Uint8Array);
        const asText = [...ours.attributes].map(([key, value]) => [
          key,
          typeof value === "bigint" ? String(value) : value,
        ]);
        assert.deepStrictEqual([...(theirs as DecodedLogRecord).attributes], asText);
        assert.deepStrictEqual(
          { ...theirs, attributes: 0, resource: 0 },
          { ...ours, attributes: 0, resource: 0 },
        );
        assert.deepStrictEqual(theirs?.resource.attributes, ours.resource.attributes);
      }),
      { numRuns: 500 },
    );
  }).timeout(30_000);

  it("keeps the schema's examples digit by digit", () => {
    const { examples } = parse(schemaText) as unknown as { examples: readonly EvidenceRecord[] };
    const log = toLogRecord(examples[0] as EvidenceRecord);
    assert.equal(log.attributes["runtime_evidence.record.timestamp"], "1737890000123456789");
    assert.deepEqual(log.hrTime, [1737890000, 123456789]);
    assert.deepStrictEqual(
      examples.map((example) => evidence(fromLogRecord(toLogRecord(example)))),
      examples,
    );
  });

  it("has its time by the clock that ts_ns is of", () => {
    const record: EvidenceRecord = {
      ts_ns: 5,
      src: "s",
      pid: 1,
      comm: "c",
      event: { type: "file_open", path: "/" },
    };
    assert.deepEqual(toLogRecord(record, meta).hrTime, [1_700_000_000, 5]);
    assert.deepEqual(toLogRecord(record, { ...meta, clock: "realtime" }).hrTime, [0, 5]);
    const [first, second] = [toLogRecord(record), toLogRecord({ ...record, ts_ns: 7 })];
    const ageSeconds = Date.now() / 1000 - (first?.hrTime[0] ?? 0);
    assert.ok(Math.abs(ageSeconds - uptime()) < 60, `this machine booted ${ageSeconds} s ago`);
    assert.equal((second?.hrTime[1] ?? 0) - (first?.hrTime[1] ?? 0), 2);
  });

  it("has a uid of its own each time, unless one is given", () => {
    const [record] = fc.sample(anyEvidenceRecord, 1) as [EvidenceRecord];
    const uids = [toLogRecord(record), toLogRecord(record)].map(
      ({ attributes }) => attributes["log.record.uid"],
    );
    assert.equal(new Set(uids).size, 2);
    assert.equal(toLogRecord(record, { uid: uid(7) }).attributes["log.record.uid"], "stream-7");
  });

  it("is refused when it has no event of v1 or no integer for a time, and the next one is not harmed", () => {
    const record: EvidenceRecord = {
      ts_ns: 5,
      src: "s",
      pid: 1,
      comm: "c",
      event: { type: "file_open", path: "/" },
    };
    for (const bad of [
      { ...record, event: { type: "other" } },
      { ...record, ts_ns: 0.5 },
      { ...record, ts_ns: "5" },
    ]) {
      assert.throws(
        () => toLogRecord(bad as unknown as EvidenceRecord),
        (thrown) => {
          assert.ok(thrown instanceof RuntimeEvidenceError);
          assert.equal(thrown.code, "bad-input");
          return true;
        },
      );
      assert.deepStrictEqual(evidence(fromLogRecord(toLogRecord(record))), record);
    }
  });
});

describe("a log record of the SDK read as evidence", () => {
  it("is refused or invalid, with a reason, where it is nothing of the kind", () => {
    for (const wrong of [undefined, null, 1, "x", [], {}, { event: null }, { event: undefined }]) {
      assert.throws(() => toLogRecord(wrong as never), { code: "bad-input" });
    }
    const record: EvidenceRecord = {
      ts_ns: 1,
      src: "s",
      pid: 1,
      comm: "c",
      event: { type: "file_open", path: "/" },
    };
    for (const sequence of [-1, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => toLogRecord(record, { uid: uid(sequence) }), { code: "usage" });
    }
    const logRecord = toLogRecord(record);
    for (const wrong of [
      undefined,
      null,
      1,
      {},
      { ...logRecord, resource: undefined },
      { ...logRecord, hrTime: 1 },
    ]) {
      assert.equal(fromLogRecord(wrong as never).kind, "invalid");
    }
  });

  it("is foreign when it is somebody else's, whatever its values are", () => {
    const cyclic: Record<string, unknown> = { text: "x" };
    cyclic.self = cyclic;
    const [record] = fc.sample(anyEvidenceRecord, 1) as [EvidenceRecord];
    const log = toLogRecord(record);
    const attributes = {
      cyclic,
      number: 0.5,
      big: 2 ** 60,
      nothing: null,
      bytes: new Uint8Array([1]),
      list: [1, "a"],
    };
    const foreign = { ...log, eventName: "other", attributes } as unknown as ReadableLogRecord;
    assert.deepEqual(fromLogRecord(foreign), { kind: "foreign" });
  });

  it("is read as the decoders read it after a journey through protobuf, added attributes included", () => {
    const added = {
      "a.double": 0.5,
      "a.list": [1, 2],
      "a.map": { deep: { er: true } },
      "a.bytes": Buffer.from("ab"),
    };
    fc.assert(
      fc.property(anyEvidenceRecord, fc.double(), (record, number) => {
        const log = toLogRecord(record);
        const enriched = { ...log, attributes: { ...log.attributes, ...added, number } };
        const direct = fromLogRecord(enriched as ReadableLogRecord);
        const body = ProtobufLogsSerializer.serializeRequest([enriched as ReadableLogRecord]) as Uint8Array;
        assert.deepStrictEqual(direct, toEvidence(decodeRequest(body)[0] as DecodedLogRecord));
        assert.deepStrictEqual(evidence(direct), record);
      }),
      { numRuns: 200 },
    );
  }).timeout(30_000);

  it("is invalid when attributes were dropped on the way", () => {
    const [record] = fc.sample(anyEvidenceRecord, 1) as [EvidenceRecord];
    const result = fromLogRecord({ ...toLogRecord(record), droppedAttributesCount: 2 });
    assert.deepEqual(result, { kind: "invalid", reason: "2 attributes were dropped on the way" });
  });
});

describe("the Resource of log records", () => {
  const record = (containerId?: string): EvidenceRecord => ({
    ts_ns: 5,
    src: "s",
    pid: 1,
    comm: "c",
    ...(containerId === undefined ? {} : { container_id: containerId }),
    event: { type: "file_open", path: "/" },
  });
  const resource = resourceFromAttributes({ "service.name": "shop", "host.name": "host" });
  const container = `containerd://${"a".repeat(64)}`;

  it("is one object per container, so that OpenTelemetry groups by it", () => {
    const logs = [record(container), record(), record(container), record()].map((from) =>
      toLogRecord(from, { resource }),
    );
    assert.equal(logs[0]?.resource, logs[2]?.resource);
    assert.equal(logs[1]?.resource, resource);
    assert.equal(logs[3]?.resource, resource);
    assert.deepEqual(logs[0]?.resource.attributes, {
      "runtime_evidence.container.id": container,
      "container.id": "a".repeat(64),
      "container.runtime.name": "containerd",
      "service.name": "shop",
      "host.name": "host",
    });
    const body = ProtobufLogsSerializer.serializeRequest(logs) as Uint8Array;
    assert.equal(new Set(decodeRequest(body).map((decoded) => decoded.resource)).size, 2);
  });

  it("is of this program where none is given", () => {
    assert.deepEqual(toLogRecord(record()).resource.attributes, { "service.name": "runtime-evidence" });
  });

  it("is forgotten for the container not seen for longest, beyond 1024", () => {
    const many = Array.from(
      { length: 1025 },
      (_, index) => `docker://${index.toString(16).padStart(64, "0")}`,
    );
    const first = toLogRecord(record(many[0]), { resource }).resource;
    const second = toLogRecord(record(many[1]), { resource }).resource;
    for (const id of many.slice(2, 1024)) toLogRecord(record(id), { resource });
    assert.equal(toLogRecord(record(many[0]), { resource }).resource, first);
    toLogRecord(record(many[1024]), { resource });
    assert.equal(toLogRecord(record(many[0]), { resource }).resource, first);
    const again = toLogRecord(record(many[1]), { resource }).resource;
    assert.notEqual(again, second);
    assert.deepEqual(again.attributes, second.attributes);
  });
});
