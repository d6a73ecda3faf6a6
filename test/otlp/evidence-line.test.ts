import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { stringifyEvidence } from "../../src/evidence/json.ts";
import { createMemberChecks } from "../../src/evidence/member-checks.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { readSchema } from "../../src/evidence/schema.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { type AnyValue, DoubleValue } from "../../src/otlp/any-value.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedAttributes } from "../../src/otlp/decoded-attributes.ts";
import { ownAttributeKeys } from "../../src/otlp/decoded-attributes.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { createEvidenceLineWriter } from "../../src/otlp/evidence-line.ts";
import { eventFields, recordFields, resourceFields } from "../../src/otlp/mapping.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";
import { anyEvidenceRecord, evidenceRecords, schemaEventTypes } from "../evidence/record-arbitrary.ts";
import { request } from "./there-and-back.ts";

const validate = createValidator();
const lineOf = createEvidenceLineWriter();

/** What the long way makes of a log record; nothing where that is no valid evidence. */
function longWay(logRecord: DecodedLogRecord): string | undefined {
  const result = toEvidence(logRecord);
  if (result.kind !== "evidence" || !validate(result.record as unknown as JsonValue).valid) return undefined;
  return stringifyEvidence(result.record as unknown as JsonValue);
}

/** How many lines there were; each is what the long way makes. */
function sameLines(decoded: readonly DecodedLogRecord[]): number {
  let count = 0;
  for (const logRecord of decoded) {
    const line = lineOf(logRecord);
    if (line === undefined) continue;
    assert.equal(line, longWay(logRecord));
    count++;
  }
  return count;
}

/** Values that others may put where ours belong. */
const strangeValues = fc.oneof(
  fc.constantFrom<AnyValue>("", "x", "0", "-1", "12345678901234567890", "true", "inet", "ipv6", null, true),
  fc.constantFrom<AnyValue>(0, 1, -1, 4096, 65_536, 2n ** 53n, -(2n ** 63n), 2n ** 63n - 1n),
  fc.constantFrom<AnyValue>(new DoubleValue(1), new DoubleValue(0.5), new Uint8Array([1]), [], ["0x1"], [1]),
  fc.constantFrom<AnyValue>("x".repeat(17), "😀".repeat(16), "\ud800", "10.0.0.1", "::1", "0xAb", '"\n'),
);

describe("a v1 line straight from attributes", () => {
  for (const type of schemaEventTypes) {
    it(`is what the long way makes of a ${type}`, () => {
      fc.assert(
        fc.property(fc.array(evidenceRecords(type), { minLength: 1, maxLength: 8 }), (records) => {
          const body = request(records);
          sameLines(decodeRequest(body));
          sameLines(decodeJson(requestToJson(body)));
        }),
        { numRuns: 250 },
      );
    }).timeout(60_000);
  }

  it("is what the long way makes of it, or nothing, whatever else the attributes are", () => {
    const keys = fc.constantFrom(...ownAttributeKeys, "other");
    const changes = fc.array(fc.tuple(keys, strangeValues), { maxLength: 3 });
    let lines = 0;
    fc.assert(
      fc.property(anyEvidenceRecord, changes, changes, (record, ofRecord, ofResource) => {
        const decoded = decodeRequest(request([record]));
        for (const { attributes, resource } of decoded) {
          for (const change of ofRecord) (attributes as DecodedAttributes).set(...change);
          for (const change of ofResource) (resource.attributes as DecodedAttributes).set(...change);
        }
        lines += sameLines(decoded);
      }),
      { numRuns: 2000 },
    );
    assert.ok(lines > 50, `only ${lines} lines`);
  }).timeout(60_000);

  it("is there for every record that attributes hold whole", () => {
    const record = (event: EvidenceRecord["event"], more = {}): EvidenceRecord => ({
      ts_ns: 1_737_890_000_123_456_789n,
      src: "p",
      pid: 1,
      comm: 'a"\\\u00e9',
      event,
      ...more,
    });
    const container = {
      container_id: `docker://${"a".repeat(64)}`,
      image_digest: `sha256:${"b".repeat(64)}`,
    };
    const records = [
      record({ type: "file_open", path: "/é", flags: -1, mode: 4095 }, { tid: 1, cgroup_id: 2n ** 63n - 1n }),
      record({ type: "process_exec", filename: "/bin/true", ppid: 0, argv0: "true" }),
      record({
        type: "tcp_state",
        oldstate: "CLOSE",
        newstate: "x",
        daddr: "::1",
        dport: 1,
        family: "inet6",
      }),
      record({ type: "net_connect", addr: "10.0.0.1", port: 65_535, success: false, error: -1 }),
      record({ type: "ssl_op", operation: "read", bytes: 0, ssl_ptr: "0x1" }, container),
      record({ type: "function_call", addr: "0x1", runtime: "go", stack: ["0x1", "0xF"] }, container),
    ];
    assert.equal(new Set(records.map(({ event }) => event.type)).size, schemaEventTypes.length);
    assert.equal(sameLines(decodeRequest(request(records))), records.length);
  });

  it("is made of long values without keeping them", () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const line = createEvidenceLineWriter();
    const lengthOf = (event: EvidenceRecord["event"]) => {
      const records = [{ ts_ns: 1, src: "p", pid: 1, comm: "c", event }];
      return decodeRequest(request(records)).map(line)[0]?.length;
    };
    const usedBytes = () => {
      gc();
      gc();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + external - arrayBuffers;
    };
    lengthOf({ type: "function_call", addr: "0x1", symbol: "s", library: "l" });
    const before = usedBytes();
    const long = "x".repeat(10_000_000);
    const lengths = [
      lengthOf({ type: "file_open", path: long }),
      lengthOf({ type: "process_exec", filename: long }),
      lengthOf({ type: "function_call", addr: "0x1", symbol: long }),
    ];
    assert.ok(lengths.every((length) => length !== undefined && length > long.length));
    const keptBytes = usedBytes() - before;
    // The one that is held here, and the noise of other tests.
    assert.ok(keptBytes < 25_000_000, `${keptBytes} bytes`);
    assert.equal(long.length, 10_000_000);
  });

  it("is not there for a record that has more than attributes say, or less than v1 needs", () => {
    const whole = { ts_ns: 1, src: "p", pid: 1, comm: "c", event: { type: "file_open", path: "/" } } as const;
    const lines = (change: (logRecord: DecodedLogRecord) => void, record: EvidenceRecord = whole) => {
      const decoded = decodeRequest(request([record]));
      for (const logRecord of decoded) change(logRecord);
      return sameLines(decoded);
    };
    const set = (key: string, value: AnyValue) => (logRecord: DecodedLogRecord) =>
      (logRecord.attributes as DecodedAttributes).set(key, value);
    assert.equal(
      lines(() => {}),
      1,
    );
    assert.equal(
      lines(() => {}, { ...whole, unknown: 1 } as EvidenceRecord),
      0,
    );
    assert.equal(
      lines(() => {}, { ...whole, event: { type: "file_open", path: "" } }),
      0,
    );
    assert.equal(
      lines((logRecord) => {
        logRecord.droppedAttributesCount = 1;
      }),
      0,
    );
    assert.equal(
      lines(({ resource }) => {
        resource.droppedAttributesCount = 1;
      }),
      0,
    );
    assert.equal(lines(set("process.pid", 0)), 0);
    assert.equal(lines(set("process.pid", "1")), 0);
    assert.equal(lines(set("runtime_evidence.process.comm", "x".repeat(17))), 0);
    assert.equal(lines(set("runtime_evidence.event.type", "toString")), 0);
    assert.equal(lines(set("runtime_evidence.container.id", `docker://${"a".repeat(64)}`)), 0);
  });
});

describe("the checks of single members", () => {
  it("are there for every member that the mapping has, and say which are needed", () => {
    const checks = createMemberChecks();
    const expected = (fields: readonly { member: string; required?: true }[]) => ({
      members: fields.map(({ member }) => member).toSorted(),
      required: fields
        .filter(({ required }) => required)
        .map(({ member }) => member)
        .toSorted(),
    });
    const { top } = checks;
    assert.deepEqual(
      { members: Object.keys(top.members).toSorted(), required: top.required.toSorted() },
      (({ members, required }) => ({ members, required: [...required, "event"].toSorted() }))(
        expected([...recordFields, ...resourceFields]),
      ),
    );
    for (const type of schemaEventTypes) {
      const { members, required } = checks.event(type);
      assert.deepEqual(
        {
          members: Object.keys(members).toSorted(),
          required: required.filter((name) => name !== "type").toSorted(),
        },
        expected(eventFields[type]),
      );
    }
  });

  it("are refused where the schema says of a record what is not of one member", () => {
    const schema = readSchema() as Record<string, Record<string, Record<string, object>>>;
    const changed = (change: (copy: typeof schema) => void) => {
      const copy = structuredClone(schema);
      change(copy);
      return () => createMemberChecks(copy).event("file_open");
    };
    assert.doesNotThrow(changed(() => {}));
    for (const change of [
      (copy: typeof schema) => Object.assign(copy, { maxProperties: 9 }),
      (copy: typeof schema) => Object.assign(copy, { additionalProperties: false }),
      (copy: typeof schema) => Object.assign(copy.properties?.event ?? {}, { maxProperties: 9 }),
      (copy: typeof schema) => Object.assign(copy.properties?.event ?? {}, { oneOf: [] }),
      (copy: typeof schema) => Object.assign(copy.$defs?.file_open ?? {}, { minProperties: 3 }),
      (copy: typeof schema) =>
        Object.assign(copy.$defs?.file_open?.properties ?? {}, { type: { type: "string" } }),
      (copy: typeof schema) => Object.assign(copy.$defs?.ssl_op ?? {}, { required: ["operation"] }),
    ]) {
      assert.throws(changed(change), /the v1 schema/);
    }
  });
});
