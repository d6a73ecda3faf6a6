import assert from "node:assert/strict";
import { jsonBody } from "../../src/delivery/json-body.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { sealedRecords } from "./sealed.ts";

type Json = { resourceLogs: { resource: object; scopeLogs: { scope: object; logRecords: object[] }[] }[] };

/** Each record with its resource and scope, as a receiver sees it. */
function flat(text: string): object[] {
  return (JSON.parse(text) as Json).resourceLogs.flatMap(({ scopeLogs, ...resource }) =>
    scopeLogs.flatMap(({ logRecords, ...scope }) =>
      logRecords.map((record) => ({ resource, scope, record })),
    ),
  );
}

describe("the JSON of a request", () => {
  for (const count of [0, 1, 500, 501, 1700]) {
    it(`has the same ${count} records as when it is made at once`, async () => {
      const { body } = sealedRecords(count, { twoResources: true });
      const expected = flat(requestToJson(body));
      assert.equal(expected.length, count);
      assert.deepEqual(flat((await jsonBody(body)).toString()), expected);
    });
  }

  it("lets other work go on while a large one is made", async () => {
    let turns = 0;
    const count = () => {
      turns += 1;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    await jsonBody(sealedRecords(3000).body);
    clearImmediate(timer);
    assert.ok(turns >= 4, `${turns}`);
  });

  it("is not made of what is no request", async () => {
    await assert.rejects(jsonBody(Buffer.from([0x0a, 0x7f])), (thrown) => {
      return thrown instanceof RuntimeEvidenceError && thrown.code === "bad-input";
    });
  });
});
