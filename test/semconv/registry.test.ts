import assert from "node:assert/strict";
import { staleFiles } from "../../semconv/generate.ts";
import { readRegistry } from "../../semconv/registry.ts";
import type { EventType } from "../../src/evidence/record.ts";
import { KERNEL_LOSS_REASONS, PROBE_NAMES } from "../../src/frames/control.ts";
import { EXPORT_LOSS_REASONS } from "../../src/health/ledger.ts";
import { PROBE_DOWN } from "../../src/health/loss-registry.ts";
import * as metrics from "../../src/health/metrics.gen.ts";
import * as constants from "../../src/otlp/attributes.gen.ts";
import { lossFields } from "../../src/otlp/loss-record.ts";
import {
  eventFields,
  eventName,
  eventTypeKey,
  eventTypes,
  extensionFields,
  recordFields,
  resourceFields,
} from "../../src/otlp/mapping.ts";
import { fixedAttributes } from "../../src/otlp/projection.ts";
import { streamFields } from "../../src/otlp/stream-record.ts";

const registry = readRegistry();
const ownKeys = registry.attributes.map(({ key }) => key);
const references = [...registry.groups, ...registry.events, ...registry.metrics].flatMap(
  ({ attributes }) => attributes ?? [],
);
const allKeys = [...new Set([...ownKeys, ...references.map(({ ref }) => ref)])];
const keysOf = (id: string): string[] => {
  const found = [
    ...registry.events.map(({ name, ...rest }) => ({ id: name, ...rest })),
    ...registry.groups,
  ].find((group) => group.id === id);
  assert.ok(found, id);
  return found.attributes.map(({ ref }) => ref);
};

describe("the attribute registry", () => {
  it("names attributes and events as OpenTelemetry's naming rules say", () => {
    const signals = [...registry.events, ...registry.metrics].map(({ name }) => name);
    for (const name of [...ownKeys, ...signals]) {
      assert.match(name, /^runtime_evidence(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+$/, name);
      assert.ok(name.length <= 100, name);
    }
    assert.equal(new Set(ownKeys).size, ownKeys.length, "each attribute is defined once");
  });

  it("has no attribute that is also a namespace of another", () => {
    for (const key of allKeys) {
      for (const other of allKeys)
        assert.ok(!other.startsWith(`${key}.`), `${key} is a namespace of ${other}`);
    }
  });

  it("has no two attributes that become one label in Loki or one constant", () => {
    // Loki makes one underscore of each run of other characters than letters and digits.
    const labels = allKeys.map((key) => key.replace(/[^a-zA-Z0-9]+/g, "_"));
    assert.equal(new Set(labels).size, allKeys.length);
  });

  it("describes every attribute, with examples where weaver wants them", () => {
    for (const { key, brief, type, examples, stability } of registry.attributes) {
      assert.match(brief, /\.$/, key);
      assert.equal(stability, "development", key);
      if (type === "string" || type === "string[]") assert.ok(examples && examples.length > 0, key);
      if (typeof type === "object") assert.ok(type.members.length > 0, key);
    }
  });

  it("defines or refers to every key of the mapping table, in the event that it belongs to", () => {
    const control = ["runtime_evidence.loss", "runtime_evidence.stream"];
    assert.deepEqual(
      registry.events.map(({ name }) => name).sort(),
      [...eventTypes.map(eventName), ...control].sort(),
    );
    for (const type of eventTypes as readonly EventType[]) {
      const keys = keysOf(eventName(type));
      const expected = [...recordFields, ...eventFields[type]].map(({ key }) => key as string);
      for (const key of [...expected, eventTypeKey, ...(fixedAttributes[type] ?? []).map(([name]) => name)]) {
        assert.ok(keys.includes(key), `${key} in ${type}`);
      }
    }
    for (const { key } of resourceFields) assert.ok(keysOf("runtime_evidence.resource").includes(key), key);
    for (const { key } of extensionFields)
      assert.ok(
        references.some(({ ref }) => ref === key),
        key,
      );
  });

  it("has exactly what loss and stream records carry in their events", () => {
    for (const [name, fields] of [
      ["runtime_evidence.loss", lossFields],
      ["runtime_evidence.stream", streamFields],
    ] as const) {
      const keys = [...fields.map(({ key }) => key), constants.ATTR_LOG_RECORD_UID];
      assert.deepEqual(keysOf(name).sort(), keys.sort());
    }
  });

  it("names every reason of loss and every probe that the books have", () => {
    const valuesOf = (name: string) => {
      const type = registry.attributes.find(({ key }) => key === name)?.type;
      assert.ok(typeof type === "object", name);
      return type.members.map(({ value }) => value).sort();
    };
    assert.deepEqual(
      valuesOf(constants.ATTR_RUNTIME_EVIDENCE_LOSS_REASON),
      [...KERNEL_LOSS_REASONS, ...EXPORT_LOSS_REASONS, PROBE_DOWN].sort(),
    );
    assert.deepEqual(
      valuesOf(constants.ATTR_RUNTIME_EVIDENCE_PROBE_TYPE),
      [...PROBE_NAMES, "control"].sort(),
    );
  });

  it("gives each metric an instrument, a unit of UCUM and a constant", () => {
    const imported = registry.importedMetrics;
    assert.ok(registry.metrics.length > 10 && imported.every((name) => /^(otel\.sdk|process)\./.test(name)));
    for (const { name, instrument, unit, brief } of registry.metrics) {
      assert.match(instrument, /^(counter|updowncounter|gauge|histogram)$/, name);
      assert.match(unit, /^(By|s|\{[a-z_]+\})$/, name);
      assert.match(brief, /\.$/, name);
      assert.ok(!ownKeys.includes(name), `${name} is an attribute, too`);
    }
    const names = Object.values(metrics).map((metric) => (typeof metric === "string" ? metric : metric.name));
    assert.deepEqual(names.sort(), [...registry.metrics.map(({ name }) => name), ...imported].sort());
  });

  it("has no member that weaver does not know, such as a comma in plain text makes one", () => {
    const known = new Set("key type stability brief note examples ref requirement_level".split(" "));
    for (const part of [...registry.attributes, ...references]) {
      for (const name of Object.keys(part))
        assert.ok(known.has(name), `"${name}" in ${JSON.stringify(part)}`);
    }
    const ofMetric = new Set(
      "name stability instrument unit brief note entity_associations attributes".split(" "),
    );
    for (const metric of registry.metrics) {
      for (const name of Object.keys(metric)) assert.ok(ofMetric.has(name), `"${name}" in ${metric.name}`);
    }
    for (const { key, type } of registry.attributes) {
      if (typeof type !== "object") continue;
      for (const part of type.members) {
        for (const name of Object.keys(part)) assert.match(name, /^(id|value|brief|stability)$/, key);
      }
    }
  });

  it("defines what it refers to, and uses what it defines", () => {
    const used = new Set(references.map(({ ref }) => ref));
    for (const key of ownKeys) assert.ok(used.has(key), `${key} belongs to no event or group`);
    for (const ref of used) {
      if (ref.startsWith("runtime_evidence.")) assert.ok(ownKeys.includes(ref), `${ref} is not defined`);
    }
  });

  it("requires in events what v1 requires", () => {
    for (const type of eventTypes as readonly EventType[]) {
      const event = registry.events.find(({ name }) => name === eventName(type));
      for (const field of [...recordFields, ...eventFields[type]]) {
        const level = event?.attributes.find(({ ref }) => ref === field.key)?.requirement_level;
        assert.equal(level === "required", "required" in field, `${type}: ${field.key}`);
      }
    }
  });

  it("gives each attribute a type that can hold its field", () => {
    const otelTypes = { integer: "int", string: "string", boolean: "boolean", "string-array": "string[]" };
    const fields = [
      ...recordFields,
      ...resourceFields,
      ...extensionFields,
      ...Object.values(eventFields).flat(),
    ];
    for (const { key, type } of fields) {
      const definition = registry.attributes.find((attribute) => attribute.key === key);
      if (definition === undefined) continue;
      const defined = typeof definition.type === "string" ? definition.type : "string";
      assert.equal(defined, otelTypes[type], key);
    }
  });

  it("is what the constants and the documentation were generated from", () => {
    assert.deepEqual(staleFiles(registry), []);
    assert.deepEqual(
      Object.entries(constants)
        .filter(([name]) => name.startsWith("ATTR_"))
        .map(([, key]) => key)
        .sort(),
      [...allKeys].sort(),
    );
  });
});
