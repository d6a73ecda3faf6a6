import assert from "node:assert/strict";
import fc from "fast-check";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import * as attributes from "../../src/otlp/attributes.gen.ts";
import { decodeGrafanaRow, decodeLoki } from "../../src/otlp/decode-loki.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { attributesByLabel, extractedSuffix, lokiLabelName } from "../../src/otlp/loki-labels.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";

const TIME = "1737890000123456789";
const resources = createResourceSource({ "service.name": "test", "host.name": "host" });

type Labels = Record<string, string>;

/** The labels that Loki makes of a record: every value as text, no empty ones, U+FFFD a space. */
function lokiLabels(record: EvidenceRecord): Labels {
  const builder = new RequestBuilder({ capacityBytes: 1024 });
  encodeRecord(builder, record, {
    resources,
    timeUnixNano: BigInt(TIME),
    observedTimeUnixNano: BigInt(TIME) + 1n,
    streamId: "stream",
    sequence: 7,
  });
  const [decoded] = decodeRequest(builder.seal().body);
  assert.ok(decoded);
  const labels: Labels = { scope_name: "runtime-evidence", detected_level: "info", observed_timestamp: TIME };
  for (const [key, value] of [...decoded.attributes, ...decoded.resource.attributes]) {
    const text = (Array.isArray(value) ? JSON.stringify(value) : String(value)).replaceAll("\ufffd", " ");
    if (text !== "") labels[lokiLabelName(key)] = text;
  }
  return labels;
}

function split(labels: Labels, indexed: readonly string[]): { stream: Labels; structuredMetadata: Labels } {
  const entries = Object.entries(labels);
  return {
    stream: Object.fromEntries(entries.filter(([name]) => indexed.includes(name))),
    structuredMetadata: Object.fromEntries(entries.filter(([name]) => !indexed.includes(name))),
  };
}

function recordOf(decoded: DecodedLogRecord | undefined): JsonValue {
  assert.ok(decoded);
  const reversed = toEvidence(decoded);
  assert.equal(reversed.kind, "evidence", reversed.kind === "invalid" ? reversed.reason : "foreign");
  return reversed.kind === "evidence" ? (reversed.record as unknown as JsonValue) : null;
}

const EXEC = {
  ts_ns: 1,
  src: "s",
  pid: 4711,
  comm: "c",
  event: { type: "process_exec", filename: "/p" },
} as const satisfies EvidenceRecord;

function categorised(stream: Labels, structuredMetadata: Labels, parsed: Labels = {}): string {
  return JSON.stringify({ stream, values: [[TIME, "line", { structuredMetadata, parsed }]] });
}

describe("label names of Loki", () => {
  it("are one to one for every attribute of ours, and none is a name of Loki's own", () => {
    const keys = Object.entries(attributes).flatMap(([name, key]) => (name.startsWith("ATTR_") ? [key] : []));
    assert.ok(keys.length > 50);
    const names = keys.map(lokiLabelName);
    assert.equal(new Set(names).size, names.length);
    const own = ["service_name", "detected_level", "observed_timestamp", "severity_number", "severity_text"];
    const fields = ["flags", "trace_id", "span_id", "scope_name", "scope_version", "event_name"];
    assert.deepEqual(
      names.filter((name) => [...own.slice(1), ...fields, "dropped_attributes_count"].includes(name)),
      [],
    );
    assert.deepEqual(
      names.filter((name) => !/^[a-z][a-z0-9_]*$/.test(name) || name.endsWith(extractedSuffix)),
      [],
    );
    for (const [label, { key }] of attributesByLabel) assert.equal(label, lokiLabelName(key));
  });
});

describe("a v1 record kept by Loki", () => {
  const indexed = ["service_name", "runtime_evidence_event_type"];

  it("is the same from categorised and merged answers and from Grafana's rows", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        const labels = lokiLabels(record);
        const { stream, structuredMetadata } = split(labels, indexed);
        const forms = [
          decodeLoki(categorised(stream, structuredMetadata)),
          decodeLoki(JSON.stringify({ stream: labels, values: [[TIME, "line"]] })),
          [decodeGrafanaRow(JSON.stringify({ line: "line", timestamp: TIME, fields: labels }))],
        ];
        for (const [decoded, ...more] of forms) {
          assert.equal(more.length, 0);
          assert.equal(decoded?.timeUnixNano, BigInt(TIME));
          assert.deepStrictEqual(recordOf(decoded), record);
        }
      }),
      { numRuns: 300 },
    );
  }).timeout(20_000);

  it("takes nothing from labels that others added", () => {
    const { stream, structuredMetadata } = split(lokiLabels(EXEC), indexed);
    const added = { k8s_pod_name: "pod", container_id: "other", tid: "3", process_command: "agent" };
    assert.deepStrictEqual(
      recordOf(decodeLoki(categorised({ ...stream, ...added }, structuredMetadata))[0]),
      EXEC,
    );
  });

  it("takes metadata and not the stream's label of the same name, which makes Loki add a suffix", () => {
    const { stream, structuredMetadata } = split(lokiLabels(EXEC), indexed);
    const { process_pid: pid, ...rest } = structuredMetadata;
    assert.equal(pid, "4711");
    const text = categorised({ ...stream, process_pid: "1" }, { ...rest, process_pid_extracted: pid });
    assert.deepStrictEqual(recordOf(decodeLoki(text)[0]), EXEC);
  });

  it("takes nothing that a query has parsed out of hostile lines", () => {
    const { stream, structuredMetadata } = split(lokiLabels(EXEC), indexed);
    const parsed = { process_pid_extracted: "1", runtime_evidence_thread_id: "2" };
    assert.deepStrictEqual(recordOf(decodeLoki(categorised(stream, structuredMetadata, parsed))[0]), EXEC);
  });

  it("is refused where a merged answer has two values of one label", () => {
    const reasons = ["process_pid", "runtime_evidence_event_type", "runtime_evidence_residual"].map(
      (label) => {
        const labels = { ...lokiLabels(EXEC), [`${label}_extracted`]: "forged" };
        const [decoded] = decodeLoki(JSON.stringify({ stream: labels, values: [[TIME, "line"]] }));
        assert.ok(decoded);
        const reversed = toEvidence(decoded);
        return reversed.kind === "invalid" ? reversed.reason : reversed.kind;
      },
    );
    assert.deepEqual(reasons, [
      "process.pid is not an integer",
      "runtime_evidence.event.type is not an event type of v1",
      "runtime_evidence.residual is not text",
    ]);
  });

  it("is refused where attributes were dropped on the way", () => {
    const { stream, structuredMetadata } = split(lokiLabels(EXEC), indexed);
    const [decoded] = decodeLoki(
      categorised(stream, { ...structuredMetadata, dropped_attributes_count: "2" }),
    );
    assert.ok(decoded);
    assert.deepEqual(toEvidence(decoded), {
      kind: "invalid",
      reason: "2 attributes were dropped on the way",
    });
  });

  it("is told from log records of others", () => {
    const [decoded] = decodeLoki(categorised({ service_name: "x" }, { process_pid: "1" }));
    assert.ok(decoded);
    assert.deepEqual(toEvidence(decoded), { kind: "foreign" });
  });

  it("names the member of an answer that is wrong", () => {
    for (const [text, pattern] of [
      ["[]", /an element of the result must be an object/],
      ['{"values":[]}', /stream must be an object/],
      ['{"stream":{}}', /values must be an array/],
      ['{"stream":{},"values":[7]}', /an item of values must be an array/],
      ['{"stream":{"process_pid":[]},"values":[["1",""]]}', /process_pid must be text/],
      ['{"stream":{},"values":[["1","",7]]}', /the third item of an entry must be an object/],
    ] as const) {
      assert.throws(() => decodeLoki(text), { code: "bad-input", message: pattern });
    }
    assert.throws(() => decodeGrafanaRow('{"line":""}'), {
      code: "bad-input",
      message: /fields must be an object/,
    });
  });
});
