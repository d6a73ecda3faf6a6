/** A record is known by its uid, in bounded memory; at a limit a repeat passes, and a first one always does. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SeenRecords } from "../../src/convert/seen-records.ts";

describe("seen records", () => {
  it("know each uid that they saw, ours or not", () => {
    const uid = fc.oneof(
      fc.tuple(fc.constantFrom("a", "b-c", "0f3a"), fc.nat({ max: 30 })).map(([id, n]) => `${id}-${n}`),
      fc.constantFrom(
        "a-07",
        "a-7",
        "a-0x7",
        "a--7",
        "-7",
        "7",
        "",
        "a-9007199254740993",
        "\ud800-1",
        "a-1e1",
      ),
      fc.constantFrom("x".repeat(200), `${"x".repeat(200)}-1`, "\ud800".repeat(100), "\ud801".repeat(100)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(uid, { maxLength: 200 }), (uids) => {
        const seen = new SeenRecords();
        const plain = new Set<string>();
        for (const one of uids) {
          assert.equal(seen.add(one), !plain.has(one), one);
          plain.add(one);
        }
        assert.equal(seen.forgotten, 0);
      }),
      { numRuns: 500 },
    );
  });

  it("forget the oldest uids of others at the limit", () => {
    const seen = new SeenRecords({ otherUidsMax: 2 });
    for (const uid of ["a", "b", "c"]) assert.equal(seen.add(uid), true);
    assert.equal(seen.forgotten, 1);
    assert.equal(seen.add("c"), false);
    assert.equal(seen.add("a"), true);
  });

  it("forget the stream unused for longest at the limit of streams", () => {
    const seen = new SeenRecords({ streamsMax: 2 });
    for (const uid of ["a-1", "b-1", "a-2", "c-1"]) assert.equal(seen.add(uid), true);
    assert.equal(seen.forgotten, 1);
    assert.equal(seen.add("a-1"), false, "a was used after b");
    assert.equal(seen.add("b-1"), true);
  });

  it("forget whole streams, then the lowest numbers, at the limit of ranges", () => {
    const seen = new SeenRecords({ rangesMax: 3 });
    for (const uid of ["a-1", "a-3", "b-1", "b-3"]) assert.equal(seen.add(uid), true);
    assert.equal(seen.forgotten, 1);
    assert.equal(seen.add("b-1"), false);
    for (const uid of ["b-5", "b-7"]) assert.equal(seen.add(uid), true);
    assert.equal(seen.add("b-7"), false);
    assert.equal(seen.add("b-1"), true);
    assert.ok(seen.forgotten >= 2);
  });
});
