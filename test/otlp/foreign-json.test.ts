import assert from "node:assert/strict";
import fc from "fast-check";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { spellingChoices, spellJson } from "../evidence/json-spelling.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";
import { request } from "./there-and-back.ts";

interface Habits {
  readonly snakeCase: boolean;
  readonly numbersAsNumbers: boolean;
  readonly enumsByName: boolean;
  readonly unknownMembers: boolean;
  readonly nulls: boolean;
  readonly keptDefaults: boolean;
}

const habits: fc.Arbitrary<Habits> = fc.record({
  snakeCase: fc.boolean(),
  numbersAsNumbers: fc.boolean(),
  enumsByName: fc.boolean(),
  unknownMembers: fc.boolean(),
  nulls: fc.boolean(),
  keptDefaults: fc.boolean(),
});

const severityNames: Readonly<Record<number, string>> = {
  9: "SEVERITY_NUMBER_INFO",
  13: "SEVERITY_NUMBER_WARN",
};
const wideNumbers = new Set(["intValue", "timeUnixNano", "observedTimeUnixNano"]);

/** The same request as another writer would write it. */
function rewritten(value: JsonValue, habit: Habits): JsonValue {
  if (Array.isArray(value)) return value.map((item) => rewritten(item, habit));
  if (typeof value !== "object" || value === null) return value;
  const members: Record<string, JsonValue> = {};
  if (habit.unknownMembers) members.later = { a: [1.5, { resourceLogs: "x" }], "": null };
  for (const [name, part] of Object.entries(value)) {
    const ours = habit.snakeCase ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;
    if (wideNumbers.has(name) && habit.numbersAsNumbers) members[ours] = parseEvidenceJson(String(part));
    else if (name === "severityNumber" && habit.enumsByName)
      members[ours] = severityNames[Number(part)] ?? part;
    else members[ours] = rewritten(part, habit);
  }
  if (habit.nulls && "attributes" in members) members.body2 = null;
  if (habit.nulls && "key" in members) members.flags = null;
  if (habit.keptDefaults && "timeUnixNano" in value) {
    Object.assign(members, {
      traceId: "",
      spanId: "",
      flags: 0,
      droppedAttributesCount: "0",
      severityText: "",
    });
  }
  return members;
}

describe("OTLP JSON of other writers", () => {
  it("is decoded to the same log records, whatever its habits, spelling and order of members", () => {
    fc.assert(
      fc.property(anyEvidenceRecord, habits, spellingChoices, (record, habit, choices) => {
        const body = request([record]);
        const json = rewritten(parseEvidenceJson(requestToJson(body)), habit);
        assert.deepStrictEqual(decodeJson(spellJson(json, choices)), decodeRequest(body));
      }),
      { numRuns: 600 },
    );
  }).timeout(30_000);

  it("has the last of several values of one member, as protobuf has it, and all items of several arrays", () => {
    const records = decodeJson(
      `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":1,"severityNumber":9}],
        "logRecords":[{"body":{"intValue":"1","stringValue":"x"}}]}]}]}`,
    );
    assert.deepEqual(
      records.map(({ severityNumber, body }) => [severityNumber, body]),
      [
        [9, null],
        [0, "x"],
      ],
    );
  });

  it("keeps escapes, lone surrogates, empty text and text beyond ASCII", () => {
    const text = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"k","value":{"stringValue":"${"é".repeat(40)}"}},
      {"key":"e","value":{"stringValue":"a\\nb\\ud800"}},{"key":"","value":{"stringValue":""}}]}]}]}]}`;
    assert.deepEqual(
      [...(decodeJson(text)[0]?.attributes ?? [])],
      [
        ["k", "é".repeat(40)],
        ["e", "a\nb\ud800"],
        ["", ""],
      ],
    );
  });
});
