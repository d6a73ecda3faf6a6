import assert from "node:assert/strict";
import fc from "fast-check";
import { emptyLogRecord, emptyResource, emptyScope } from "../../src/otlp/decoded-log-record.ts";
import { inStreamOrder } from "../../src/pipeline/stream-order.ts";

const resources = [emptyResource(), emptyResource(), emptyResource()];
const scope = emptyScope();

function logRecord(resource: number, uid: string | undefined) {
  const attributes = new Map(uid === undefined ? [] : [["log.record.uid", uid]]);
  return { ...emptyLogRecord(resources[resource] ?? emptyResource(), scope), attributes };
}

const uidOf = ({ attributes }: { attributes: ReadonlyMap<string, unknown> }) =>
  attributes.get("log.record.uid");

describe("order within a request", () => {
  it("is that of the numbers again, where resources took records apart", () => {
    const sent = fc.array(fc.tuple(fc.nat({ max: 2 }), fc.constantFrom("a", "b", undefined)), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(sent, (records) => {
        const numbered = records.map(([resource, stream], index) => ({
          resource,
          record: logRecord(resource, stream === undefined ? undefined : `${stream}-${index}`),
        }));
        const grouped = numbered.toSorted((one, other) => one.resource - other.resource);
        const ordered = inStreamOrder(grouped.map(({ record }) => record));
        for (const stream of ["a", "b"]) {
          const own = (list: readonly { attributes: ReadonlyMap<string, unknown> }[]) =>
            list.map(uidOf).filter((uid) => String(uid).startsWith(`${stream}-`));
          assert.deepEqual(own(ordered), own(numbered.map(({ record }) => record)));
        }
        // Nothing is lost, and what has no number keeps its place.
        assert.deepEqual(new Set(ordered), new Set(numbered.map(({ record }) => record)));
        for (const [place, { record }] of grouped.entries()) {
          if (uidOf(record) === undefined) assert.equal(ordered[place], record);
        }
      }),
    );
  });

  it("is left alone in a request of one resource", () => {
    const records = [logRecord(0, "a-2"), logRecord(0, "a-1")];
    assert.equal(inStreamOrder(records), records);
  });
});
