/**
 * Valid records, drawn from the schema file itself: whatever it allows comes up, members that it does not
 * name, integers of any size and hostile strings included.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { EventType, EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { integerFromBigInt } from "../../src/evidence/record.ts";

interface Schema {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly oneOf?: readonly { readonly format?: string; readonly $ref?: string }[];
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

const root = JSON.parse(
  readFileSync(new URL("../../schema/runtime-evidence-v1.schema.json", import.meta.url), "utf8"),
) as Schema & { readonly $defs: Readonly<Record<EventType, Schema>> };

/** Integers where encodings change: the limits of int32, doubles, int64 and uint64, and beyond. */
const edges = [0n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n, 10n ** 21n, 10n ** 30n].flatMap(
  (edge) => [edge - 1n, edge, edge + 1n, -edge + 1n, -edge, -edge - 1n],
);

function integers({ minimum, maximum }: Schema) {
  const min = BigInt(minimum ?? -(2 ** 62));
  const max = BigInt(maximum ?? 2 ** 62);
  const inside = (value: bigint) =>
    (minimum === undefined || value >= min) && (maximum === undefined || value <= max);
  return fc
    .oneof(
      fc.bigInt({ min, max }),
      fc.constantFrom(...edges.filter(inside)),
      fc.bigInt({ min, max: max < min + 5000n ? max : min + 5000n }),
    )
    .map(integerFromBigInt);
}

/** Text that has broken one backend or another: NUL, U+FFFD, lone surrogates, controls, other scripts. */
const hostileText = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: "grapheme-ascii" }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary" }) },
  {
    weight: 2,
    arbitrary: fc.string({
      unit: fc.constantFrom("a", "\0", "\ufffd", "\ud800", "\udc00", "é", "😀", "\n", "\x7f", '"', "\\"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
  },
  { weight: 1, arbitrary: fc.constantFrom("", "true", "1", "x".repeat(5000), "é".repeat(300), "__proto__") },
);

/** What ajv-formats takes for an IPv4 or IPv6 address; not all that fast-check makes with dots is. */
const addresses = fc.oneof(
  fc.ipV4(),
  fc.ipV6().filter((text) => !text.includes(".")),
  fc.constantFrom("0.0.0.0", "255.255.255.255", "::", "::1", "1::", "::ffff:10.0.0.1", "2001:DB8::1"),
);

function strings({ pattern, maxLength, oneOf, enum: values }: Schema) {
  if (values !== undefined) return fc.constantFrom(...values);
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  if (oneOf !== undefined) return addresses;
  // maxLength counts code points, as JSON Schema wants it.
  return maxLength === undefined
    ? hostileText
    : hostileText.map((text) => [...text].slice(0, maxLength).join(""));
}

function values(schema: Schema): fc.Arbitrary<JsonValue> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.type === "integer") return integers(schema);
  if (schema.type === "boolean") return fc.boolean();
  if (schema.type === "array") {
    const short = fc.array(values(schema.items ?? {}), { maxLength: 20 });
    return fc.oneof({ weight: 9, arbitrary: short }, { weight: 1, arbitrary: longStacks });
  }
  return strings(schema);
}

const longStacks = fc
  .tuple(fc.constantFrom(0, 1, 1000), fc.bigInt({ min: 0n, max: 2n ** 64n - 1001n }))
  .map(([length, first]) =>
    Array.from({ length }, (_, index) => `0x${(first + BigInt(index)).toString(16)}`),
  );

/** Any JSON value, with integers beyond doubles. */
const shallowJson: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false),
    integers({}),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((value) => (Number.isInteger(value) ? value % 1000 : value) + 0),
    hostileText,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constant("__proto__"), hostileText), tie("value"), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
})).value;

/** Values within values, to near the depth that is read at all. */
const deepJson = fc
  .tuple(shallowJson, fc.integer({ min: 10, max: 900 }), fc.constantFrom("array", "object", "__proto__"))
  .map(([innermost, depth, kind]) => {
    let value: JsonValue = innermost;
    for (let level = 0; level < depth; level++) {
      value = kind === "array" || level % 3 === 0 ? [value] : withMember({}, kind, value);
    }
    return value;
  });
const wideJson = fc
  .tuple(fc.integer({ min: 100, max: 400 }), shallowJson, hostileText)
  .map(([count, value, name]) => [
    Array.from({ length: count }, () => value),
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}${index}`, index])),
    Object.fromEntries(Array.from({ length: count }, (_, index) => [index, value])),
  ]);
export const anyJson: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 20, arbitrary: shallowJson },
  { weight: 1, arbitrary: deepJson },
  { weight: 1, arbitrary: wideJson },
);

/** An own member also when it is called `__proto__`, which plain assignment would not make. */
function withMember(
  target: Record<string, JsonValue>,
  name: string,
  value: JsonValue,
): Record<string, JsonValue> {
  return Object.defineProperty(target, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}

function members(schema: Schema, extra: readonly string[]): fc.Arbitrary<Record<string, JsonValue>> {
  const properties = Object.entries(schema.properties ?? {}).filter(([name]) => name !== "event");
  const own = fc.record(Object.fromEntries(properties.map(([name, part]) => [name, values(part)])), {
    requiredKeys: (schema.required ?? []).filter((name) => name !== "event"),
  });
  const named = new Set([...properties.map(([name]) => name), "event"]);
  const unknownName = fc.oneof(fc.constantFrom("labels", "__proto__", "constructor", ...extra), hostileText);
  const unknown = fc.dictionary(unknownName, anyJson, { maxKeys: 2 });
  const noUnknown: fc.Arbitrary<Record<string, JsonValue>> = fc.constant({});
  return fc.tuple(own, fc.oneof({ weight: 2, arbitrary: noUnknown }, unknown)).map(([known, added]) => {
    const all: Record<string, JsonValue> = { ...known };
    for (const [name, value] of Object.entries(added)) {
      if (!named.has(name)) withMember(all, name, value);
    }
    return all;
  });
}

export const schemaEventTypes = Object.keys(root.$defs) as readonly EventType[];

/** Names of members of any event: in another event they are members that the schema does not name. */
const allEventMembers = schemaEventTypes.flatMap((type) => Object.keys(root.$defs[type].properties ?? {}));

/** Names of all members that the schema names anywhere. */
export const schemaMembers = [...new Set([...Object.keys(root.properties ?? {}), ...allEventMembers])];

/** Valid records of one event type. */
export function evidenceRecords(type: EventType): fc.Arbitrary<EvidenceRecord> {
  return fc
    .tuple(
      members(root, ["type", "extensions", ...allEventMembers]),
      members(root.$defs[type], ["event", ...Object.keys(root.properties ?? {}), ...allEventMembers]),
    )
    .map(([top, event]) => ({ ...top, event }) as unknown as EvidenceRecord);
}

/** Valid records of all event types. */
export const anyEvidenceRecord: fc.Arbitrary<EvidenceRecord> = fc.oneof(
  ...schemaEventTypes.map(evidenceRecords),
);

/** The schema's own examples; they are read without loss by the caller. */
export const schemaText = readFileSync(
  new URL("../../schema/runtime-evidence-v1.schema.json", import.meta.url),
  "utf8",
);
