import assert from "node:assert/strict";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { queueContract } from "./queue-contract.ts";
import { sealed } from "./sealed.ts";

queueContract("the memory queue", (bytesMax, options) => createMemoryQueue({ ...options, bytesMax }));

describe("the memory queue", () => {
  it("refuses a limit that makes no sense", () => {
    for (const bytesMax of [0, -1, Number.NaN]) {
      assert.throws(() => createMemoryQueue({ bytesMax }), RuntimeEvidenceError);
    }
  });

  it("bounds the number of tiny requests too", async () => {
    const queue = createMemoryQueue({ bytesMax: 10_000 });
    let admitted = 0;
    for (let index = 0; index < 1000; index++) {
      queue.offer(sealed(2)).then(
        () => {
          admitted += 1;
        },
        () => {},
      );
    }
    await new Promise(setImmediate);
    assert.ok(admitted > 0 && admitted < 50, `${admitted} tiny requests were admitted`);
  });

  it("passes 100,000 requests in order without slowing down", async () => {
    const queue = createMemoryQueue({ bytesMax: 1e9 });
    const never = new AbortController().signal;
    for (let index = 0; index < 100_000; index++) await queue.offer(sealed(8, index));
    for (let index = 0; index < 100_000; index++) {
      const lease = await queue.take(never);
      assert.equal(lease?.request.recordCount, index);
      lease?.acknowledge();
    }
    assert.equal(queue.stats().bytes, 0);
  });
});
