import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import { chunked, collectStored } from "./collect.ts";

const ELEMENTS = [
  '{"stream":{"service_name":"a{\\"}]"},"values":[["1","line \\\\",{"structuredMetadata":{"b":"]"}}]]}',
  '{ "stream": {}, "values": [] }',
  '{"stream":{"x":"y"},"values":[["2","z"],["3","z"]]}',
];
const STATS = '"stats":{"summary":{"bytesProcessedPerSecond":1.5e3,"queueTime":0}}';

function response(elements: readonly string[]): string {
  const data = `{"resultType":"streams","result":[${elements.join(",")}],${STATS}}`;
  return `{"status":"success","data":${data}}`;
}

async function read(text: string | Buffer, cuts: readonly number[] = []): Promise<StoredItem[]> {
  return await collectStored(chunked(Buffer.from(text), cuts));
}

function bodies(items: readonly StoredItem[]): (string | undefined)[] {
  return items.map((item) => {
    if (item.kind === "request") assert.equal(item.encoding, "loki");
    return item.kind === "request" ? item.body.toString() : `${item.kind} ${item.line}`;
  });
}

describe("stored answers of Loki", () => {
  it("are recognised and cut into their streams, one answer or several, however chunked", async () => {
    assert.deepEqual(bodies(await read(response(ELEMENTS))), ELEMENTS);
    assert.deepEqual(bodies(await read(gzipSync(response(ELEMENTS)))), ELEMENTS);
    const pretty = JSON.stringify(JSON.parse(response(ELEMENTS)), undefined, 2);
    assert.deepEqual(
      bodies(await read(pretty)).map((body) => JSON.parse(body ?? "")),
      ELEMENTS.map((element) => JSON.parse(element)),
    );
    const several = `${response(ELEMENTS)}\n${response([])}\n${response(ELEMENTS)}`;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: several.length })), async (cuts) => {
        assert.deepEqual(bodies(await read(several, cuts)), [...ELEMENTS, ...ELEMENTS]);
      }),
      { numRuns: 50 },
    );
  });

  it("say where each stream stands", async () => {
    const text = `${response([])}\n${response(ELEMENTS)}`;
    for (const [index, item] of (await read(text)).entries()) {
      assert.equal(item.line, 2);
      assert.equal(item.offset, text.indexOf(ELEMENTS[index] as string));
    }
  });

  it("without log lines are rejected, and the others are read", async () => {
    const matrix = '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}';
    const failed = '{"status":"error","data":null}';
    const items = await read([response(ELEMENTS), matrix, failed, response(ELEMENTS)].join("\n"));
    assert.deepEqual(bodies(items), [...ELEMENTS, "rejected 2", "rejected 3", ...ELEMENTS]);
    assert.match((items[3] as { reason: string }).reason, /its query gives numbers/);
    assert.match((items[4] as { reason: string }).reason, /no answer of Loki's query_range/);
  });

  it("that are cut leave a tail, and none of it is taken", async () => {
    const text = `${response(ELEMENTS)}\n${response(ELEMENTS)}`;
    assert.deepEqual(bodies(await read(text.slice(0, -1))), [...ELEMENTS, "partial-tail 2"]);
  });

  it("with a broken frame are rejected", async () => {
    for (const broken of [
      '{"status":"success","data":{"resultType":"streams","result":{}}}',
      '{"status":"success","data":{"resultType":"streams","result":[,]}}',
      '{"status":"success","data":{"resultType":"streams","result":[1,2,3]}}',
      '{"status":"success","data":{"resultType":"streams" "result":[]}}',
      '{"status":"success","data":[]}',
    ]) {
      const items = await read(`${response(ELEMENTS)}\n${broken}`);
      assert.deepEqual(bodies(items), [...ELEMENTS, "rejected 2"], broken);
    }
  });

  it("with many entries come in pieces that together mean the same, and what is over the limit is rejected", async () => {
    const values: unknown[][] = Array.from({ length: 6000 }, (_, index) => [
      String(index),
      "x".repeat(1000),
      { parsed: {} },
    ]);
    values.splice(2000, 0, ["over", "y".repeat(70_000), {}]);
    const text = response([JSON.stringify({ stream: { a: "b" }, values })]);
    const items = await collectStored(chunked(Buffer.from(text), []), { lineBytesMax: 65_000 });
    const pieces = items.flatMap((item) =>
      item.kind === "request" ? [JSON.parse(item.body.toString())] : [],
    );
    assert.ok(pieces.length > 5);
    assert.ok(pieces.every(({ stream }) => stream.a === "b"));
    assert.deepEqual(
      pieces.flatMap((piece) => piece.values),
      values.filter(([time]) => time !== "over"),
    );
    const [over, ...more] = items.filter(({ kind }) => kind === "rejected");
    assert.equal(more.length, 0);
    assert.match(
      (over as { reason: string }).reason,
      /entry of 700\d\d bytes is over the limit of 65000 bytes/,
    );
    assert.equal(over?.offset, text.indexOf('["over"'));
    const damaged = await read(text.replace('["3000"', ' 1 ["3000"'));
    assert.match((damaged.at(-1) as { reason: string }).reason, /damaged values/);
  });
});
