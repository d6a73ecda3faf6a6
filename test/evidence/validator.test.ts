import assert from "node:assert/strict";
import fc from "fast-check";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { anyEvidenceRecord, schemaText } from "./record-arbitrary.ts";

const validate = createValidator();
const errors = (text: string): readonly string[] => {
  const result = validate(parseEvidenceJson(text));
  return result.valid ? [] : result.errors;
};
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
