import assert from "node:assert/strict";
import fc from "fast-check";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { anyEvidenceRecord, anyJson, schemaMembers, schemaText } from "./record-arbitrary.ts";
import { schemaAllows } from "./schema-interpreter.ts";

const validate = createValidator();
const errors = (text: string): readonly string[] => {
  const result = validate(parseEvidenceJson(text));
  return result.valid ? [] : result.errors;
};
const hugeIntegers = [2n ** 53n, 2n ** 64n, 10n ** 30n, 10n ** 400n].flatMap((value) => [value, -value]);
const hostile = fc.oneof(
  fc.constantFrom<(JsonValue | undefined)[]>(
    undefined,
    null,
    true,
    "",
    0,
    -1,
    1,
    1.5,
    65_535,
    65_536,
    4096,
    [],
    {},
  ),
  fc.constantFrom<JsonValue[]>(
    "inet",
    "read",
    "0x",
    "0xZ",
    "0x1\n",
    "1.2.3.4",
    "::1",
    "x".repeat(17),
    "é".repeat(16),
  ),
  fc.constantFrom<JsonValue[]>(
    ["0x1"],
    ["0x1", ""],
    ["0x1", 1],
    [1],
    "sha256:00",
    "docker://00",
    "tcp_state",
  ),
  fc.constantFrom<JsonValue[]>(...hugeIntegers),
  anyJson,
);
const change = fc.record({
  member: fc.constantFrom(...schemaMembers),
  inEvent: fc.boolean(),
  value: hostile,
});
const top = '"ts_ns":1,"src":"s","pid":1,"comm":"c"';

describe("the validator", () => {
  it("takes the schema's own examples, integers beyond doubles included", () => {
    const { examples } = parseEvidenceJson(schemaText) as unknown as { examples: EvidenceRecord[] };
    for (const record of examples) {
      assert.equal(typeof record.ts_ns, "bigint");
      assert.deepEqual(validate(record as unknown as JsonValue), { valid: true, record });
    }
  });

  it("takes every record that the schema allows", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, (record) => {
        assert.equal(validate(record as unknown as JsonValue).valid, true);
      }),
      { numRuns: 500 },
    );
  }).timeout(20_000);

  it("agrees with the schema read keyword by keyword, whatever one member is changed to", () => {
    let refused = 0;
    fc.assert(
      fc.property(anyEvidenceRecord, change, (record, { member, inEvent, value }) => {
        const changed = structuredClone(record) as unknown as Record<string, JsonValue>;
        const target = (inEvent ? changed.event : changed) as Record<string, JsonValue>;
        if (value === undefined) delete target[member];
        else target[member] = value;
        const allowed = schemaAllows(changed);
        if (!allowed) refused++;
        const result = validate(changed);
        assert.equal(result.valid, allowed);
        if (!result.valid) assert.ok(result.errors.length > 0 && result.errors.every((line) => line !== ""));
      }),
      { numRuns: 3000 },
    );
    assert.ok(refused > 300, `only ${refused} were refused`);
  }).timeout(30_000);

  for (const [text, valid] of [
    ["10.0.0.1", true],
    ["010.0.0.1", false],
    ["10.0.0", false],
    ["256.0.0.1", false],
    ["::", true],
    ["1::2::3", false],
    ["::ffff:10.0.0.1", true],
    ["::ffff:10.0.0.256", false],
    ["fe80::1%eth0", false],
    ["12345::", false],
    ["1:2:3:4:5:6:7:8:9", false],
    ["10.0.0.1\n", false],
    ["", false],
  ] as const) {
    it(`${valid ? "takes" : "refuses"} ${JSON.stringify(text)} as the address of a peer`, () => {
      const event = { type: "tcp_state", oldstate: "CLOSE", newstate: "", daddr: text, dport: 1 };
      assert.equal(validate({ ts_ns: 0, src: "", pid: 1, comm: "", event }).valid, valid);
    });
  }

  for (const [what, text, expected] of [
    [
      "a missing member",
      `{"ts_ns":1,"src":"s","comm":"c","event":{"type":"file_open","path":""}}`,
      ["/ must have required property 'pid'"],
    ],
    [
      "a negative time beyond doubles",
      `{"ts_ns":-9007199254740993,"src":"s","pid":1,"comm":"c","event":{"type":"file_open","path":""}}`,
      ["/ts_ns must be >= 0"],
    ],
    [
      "a fraction",
      `{"ts_ns":1.5,"src":"s","pid":1,"comm":"c","event":{"type":"file_open","path":""}}`,
      ["/ts_ns must be integer"],
    ],
    [
      "a missing event member",
      `{${top},"event":{"type":"file_open"}}`,
      ["/event must have required property 'path'"],
    ],
    [
      "a huge port",
      `{${top},"event":{"type":"net_connect","addr":"a","port":${10n ** 400n}}}`,
      ["/event/port must be <= 65535"],
    ],
    [
      "a wrong enum",
      `{${top},"event":{"type":"ssl_op","operation":"peek"}}`,
      ["/event/operation must be one of read, write"],
    ],
    [
      "an address that is none",
      `{${top},"event":{"type":"tcp_state","oldstate":"CLOSE","newstate":"","daddr":"fe80::1%eth0","dport":1}}`,
      ["/event/daddr must be an IPv4 or IPv6 address"],
    ],
    [
      "an unknown event type",
      `{${top},"event":{"type":"file_close"}}`,
      ["/event/type must be the type of an event of v1"],
    ],
    ["an event that is no object", `{${top},"event":5}`, ["/event/type must be the type of an event of v1"]],
    ["something that is no record", "5", ["/ must be object"]],
    [
      "two wrong members",
      `{"ts_ns":1,"src":"s","pid":0,"comm":"c","event":{"type":"file_open","path":1}}`,
      ["/pid must be >= 1", "/event/path must be string"],
    ],
  ] as const) {
    it(`says in one line each what is wrong with ${what}`, () => {
      assert.deepEqual(errors(text), expected);
    });
  }
});
