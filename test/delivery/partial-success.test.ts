import assert from "node:assert/strict";
import fc from "fast-check";
import { readPartialSuccess, readStatusMessage } from "../../src/delivery/partial-success.ts";
import { exportResponse, statusResponse } from "../../src/receive/otlp-response.ts";

describe("partial success", () => {
  for (const encoding of ["protobuf", "json"] as const) {
    it(`reads what the receiver writes, in ${encoding}`, () => {
      fc.assert(
        fc.property(fc.maxSafeNat(), fc.string({ unit: "grapheme" }), (rejectedRecords, message) => {
          const body = exportResponse(encoding, { rejectedRecords, message });
          assert.deepEqual(readPartialSuccess(body, encoding), { rejectedRecords, message });
        }),
      );
    });

    it(`takes an empty ${encoding} answer as full success`, () => {
      assert.deepEqual(readPartialSuccess(Buffer.alloc(0), encoding), { rejectedRecords: 0, message: "" });
      const empty = exportResponse(encoding, undefined);
      assert.deepEqual(readPartialSuccess(empty, encoding), { rejectedRecords: 0, message: "" });
    });

    it(`takes noise for ${encoding} as success, never throws, never counts below 0`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
          const { rejectedRecords } = readPartialSuccess(Buffer.from(bytes), encoding);
          assert.ok(rejectedRecords >= 0 && Number.isInteger(rejectedRecords));
        }),
      );
    });
  }

  it("takes JSON counts as numbers and as strings, and no other JSON", () => {
    const read = (text: string) => readPartialSuccess(Buffer.from(text), "json").rejectedRecords;
    assert.equal(read('{"partialSuccess":{"rejectedLogRecords":3}}'), 3);
    assert.equal(read('{"partialSuccess":{"rejectedLogRecords":"3"}}'), 3);
    assert.equal(read('{"partialSuccess":{"rejectedLogRecords":"-3"}}'), 0);
    assert.equal(read('{"partialSuccess":{"rejectedLogRecords":{}}}'), 0);
    for (const text of ["null", "[]", '"x"', "3", '{"partialSuccess":null}']) assert.equal(read(text), 0);
  });
});

describe("the status message of a failure", () => {
  it("is read from a Status in either encoding", () => {
    const json = statusResponse("json", 3, "no such thing");
    const protobuf = statusResponse("protobuf", 3, "no such thing");
    assert.equal(readStatusMessage(json, "application/json; charset=utf-8"), "no such thing");
    assert.equal(readStatusMessage(protobuf, "application/x-protobuf"), "no such thing");
  });

  it("is the text itself when it is no Status", () => {
    assert.equal(readStatusMessage(Buffer.from("<h1>Bad Gateway</h1>"), "text/html"), "<h1>Bad Gateway</h1>");
    assert.equal(readStatusMessage(Buffer.from("{oops"), "application/json"), "{oops");
  });
});
