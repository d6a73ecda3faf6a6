import assert from "node:assert/strict";
import fc from "fast-check";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { JsonValue } from "../../src/evidence/record.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { spellingChoices, spellJson } from "../evidence/json-spelling.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";
import { request, reversed } from "./there-and-back.ts";

const recordsMin = 100_000;
const recordsPerRequest = 50;
const validate = createValidator();

describe("a hundred thousand v1 records of all that the schema allows", () => {
  it("are the same through JSON text of any spelling, protobuf and OTLP JSON", () => {
    let count = 0;
    const records = fc.array(anyEvidenceRecord, {
      minLength: recordsPerRequest,
      maxLength: recordsPerRequest,
    });
    fc.assert(
      fc.property(records, spellingChoices, (originals, choices) => {
        for (const original of originals) {
          const text = spellJson(original as unknown as JsonValue, choices);
          const record = parseEvidenceJson(text);
          assert.deepStrictEqual(record, original);
          assert.ok(validate(record).valid);
        }
        const body = request(originals);
        assert.deepStrictEqual(reversed(decodeRequest(body)), originals);
        assert.deepStrictEqual(reversed(decodeJson(requestToJson(body))), originals);
        count += originals.length;
      }),
      { numRuns: recordsMin / recordsPerRequest },
    );
    assert.ok(count >= recordsMin, `only ${count} records`);
  }).timeout(20 * 60_000);
});
