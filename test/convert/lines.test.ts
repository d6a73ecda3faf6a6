import assert from "node:assert/strict";
import fc from "fast-check";
import { type LineItem, type LineLimits, readLines } from "../../src/convert/lines.ts";
import { chunked } from "./collect.ts";

async function collectLines(source: AsyncIterable<Buffer>, limits?: LineLimits): Promise<LineItem[]> {
  const items: LineItem[] = [];
  for await (const batch of readLines(source, limits)) items.push(...batch);
  return items;
}

describe("lines", () => {
  it("carry their number, byte offset and whether a newline ends them", async () => {
    const items = await collectLines(chunked(Buffer.from("ä\n\nb \r\n\t\nc"), []));
    assert.deepEqual(
      items.map(
        (item) => item.kind === "line" && [item.number, item.offset, item.bytes.toString(), item.terminated],
      ),
      [
        [1, 0, "ä", true],
        [3, 4, "b \r", true],
        [5, 10, "c", false],
      ],
    );
  });

  it("over the limit are skipped, counted and placed", async () => {
    const items = await collectLines(chunked(Buffer.from("12345\n123456\n1\n1234567"), [8, 20]), {
      lineBytesMax: 5,
    });
    assert.deepEqual(
      items.map((item) => [item.kind, item.number, item.offset, item.kind === "overlong" && item.byteCount]),
      [
        ["line", 1, 0, false],
        ["overlong", 2, 6, 6],
        ["line", 3, 13, false],
        ["overlong", 4, 15, 7],
      ],
    );
  });

  it("are the same for any chunking", async () => {
    const text = fc.stringMatching(/^[ab\n\r ]{0,60}$/);
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.nat(60)),
        fc.integer({ min: 1, max: 10 }),
        async (input, cuts, lineBytesMax) => {
          const bytes = Buffer.from(input);
          const items = await collectLines(chunked(bytes, cuts), { lineBytesMax });
          assert.deepEqual(items, await collectLines(chunked(bytes, []), { lineBytesMax }));
          const expected = input
            .split("\n")
            .filter((line) => line.length <= lineBytesMax && !/^[ \r]*$/.test(line));
          const lines = items.flatMap((item) => (item.kind === "line" ? [item.bytes.toString()] : []));
          assert.deepEqual(lines, expected);
        },
      ),
      { numRuns: 500 },
    );
  });
});
