import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import type { StoredRequestOptions } from "../../src/convert/stored-requests.ts";
import { chunked, collectStored } from "./collect.ts";

const RECORD = { ts_ns: 1, pid: 2, event: { type: "process_exec", argv: ["a{", '"}'] } };
const LINE = JSON.stringify(RECORD);

async function read(text: string | Buffer, options?: StoredRequestOptions, cuts: readonly number[] = []) {
  return await collectStored(chunked(Buffer.from(text), cuts), options);
}

function places(items: readonly StoredItem[]) {
  return items.map((item) => [
    item.kind === "request" ? item.encoding : item.kind,
    item.line,
    item.offset,
    item.kind === "request" && item.body.toString(),
  ]);
}

describe("v1 records as items", () => {
  it("of NDJSON have a line and an offset, with blank lines, CRLF and a byte order mark", async () => {
    assert.deepEqual(places(await read(`\ufeff${LINE}\r\n\n \t\n ${LINE}\n${LINE}`)), [
      ["v1", 1, 3, `${LINE}\r`],
      ["v1", 4, 3 + LINE.length + 2 + 1 + 3 + 1, LINE],
      ["v1", 5, 3 + LINE.length + 2 + 1 + 3 + 1 + LINE.length + 1, LINE],
    ]);
  });

  it("of an array and of a single object, pretty printed or not, have them too", async () => {
    assert.deepEqual(places(await read(`[\n${LINE},\n${LINE}]`)), [
      ["v1", 2, 2, LINE],
      ["v1", 3, 2 + LINE.length + 2, LINE],
    ]);
    const pretty = JSON.stringify(RECORD, null, 2);
    assert.deepEqual(places(await read(pretty)), [["v1", 1, 0, pretty]]);
    assert.deepEqual(places(await read(LINE)), [["v1", 1, 0, LINE]]);
    const prettyArray = JSON.stringify([RECORD, RECORD], null, 2);
    assert.equal((await read(prettyArray)).length, 2);
  });

  it("are the same compressed, and in any chunking", async () => {
    const bytes = Buffer.from(`${LINE}\n`.repeat(40));
    const expected = await read(bytes);
    assert.equal(expected.length, 40);
    assert.deepEqual(await read(gzipSync(bytes)), expected);
    assert.deepEqual(await read(zstdCompressSync(bytes)), expected);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 30 }), async (cuts) => {
        assert.deepEqual(await read(bytes, undefined, cuts), expected);
      }),
      { numRuns: 50 },
    );
  });

  it("are recognised in any order of members, behind a long first one too", async () => {
    const event = `"event":{"type":"tcp_state"}`;
    for (const text of [
      `{${event},"ts_ns":1}`,
      `{"x":"${"y".repeat(20_000)}","a":[{"resourceLogs":1}],${event},"ts_ns":1}`,
      `{"x":"resourceLogs","ts_ns":"\\"}",${event}}`,
    ]) {
      assert.deepEqual(places(await read(`${text}\n${text}\n`))[1], ["v1", 2, text.length + 1, text]);
    }
  });

  it("are told from OTLP, whose other signals are OTLP too, and from other JSON", async () => {
    const kinds = async (text: string) =>
      (await read(text)).map((item) => (item.kind === "request" ? item.encoding : item.kind));
    assert.deepEqual(await kinds(`{"resourceSpans":[]}\n{"resourceLogs":[]}\n`), ["json", "json"]);
    assert.deepEqual(await kinds("{}\n"), ["json"]);
    for (const other of [`{"level":"info","msg":"x"}\n`, `{"ts_ns":1}\n`, `[{"a":1}]`]) {
      await assert.rejects(kinds(other), { code: "bad-input", message: /name its format: v1,/ });
    }
    assert.deepEqual(await read(`{"a":1}\n`, { from: "v1" }).then(places), [["v1", 1, 0, `{"a":1}`]]);
  });

  it("over the limit are rejected with their place and the next one is read", async () => {
    const long = LINE.replace("a{", "x".repeat(500));
    for (const text of [`${LINE}\n${long}\n${LINE}\n`, `[${LINE},${long},\n${LINE}]`]) {
      const items = await read(text, { lineBytesMax: 200 });
      assert.deepEqual(
        items.map((item) => item.kind),
        ["request", "rejected", "request"],
      );
      assert.match(items[1]?.kind === "rejected" ? items[1].reason : "", /over the limit of 200 bytes/);
    }
  });

  it("torn at the first or the last line leave the others", async () => {
    for (const torn of [`{"ts_n`, `{"ts_ns":1,"ev`, LINE.slice(0, 30), LINE.slice(0, -1)]) {
      const items = await read(`${torn}\n${LINE}\n${LINE}\n${torn}`);
      assert.deepEqual(
        items.slice(1).map((item) => [item.kind, item.line]),
        [
          ["request", 2],
          ["request", 3],
          ["partial-tail", 4],
        ],
        torn,
      );
    }
  });

  it("one torn record alone is a partial tail", async () => {
    assert.deepEqual(await read(LINE.slice(0, 20)), [
      { kind: "partial-tail", offset: 0, line: 1, bytes: 20 },
    ]);
  });
});
