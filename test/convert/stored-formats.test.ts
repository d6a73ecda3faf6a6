import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { STORED_FORMATS, type StoredRequestOptions } from "../../src/convert/stored-requests.ts";
import { chunked, collectStored } from "./collect.ts";

const MESSAGE_1 =
  '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a } \\" { b"}}]}]}]}';
const MESSAGE_2 = '{"resourceLogs":[]}';
/** `resource_logs` with one empty `scope_logs`. */
const PROTO_1 = Buffer.from([0x0a, 0x02, 0x12, 0x00]);
const PROTO_2 = Buffer.from([0x0a, 0x00, 0x0a, 0x02, 0x1a, 0x00]);

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

async function read(input: string | Buffer, options?: StoredRequestOptions) {
  const bytes = Buffer.from(input);
  return await collectStored(chunked(bytes, []), options);
}

async function bodies(input: string | Buffer, options?: StoredRequestOptions): Promise<string[]> {
  const items = await read(input, options);
  return items.map((item) => (item.kind === "request" ? item.body.toString("latin1") : item.kind));
}

describe("stored formats are recognised by content", () => {
  it("JSON lines, with blank lines, CRLF and a byte order mark", async () => {
    const items = await read(`\ufeff${MESSAGE_1}\r\n\n  \n ${MESSAGE_2}\n`);
    assert.deepEqual(
      items.map((item) => [item.kind, item.offset, item.line]),
      [
        ["request", 3, 1],
        ["request", 3 + MESSAGE_1.length + 2 + 1 + 3 + 1, 4],
      ],
    );
  });

  it("JSON lines whose last line has no newline", async () => {
    assert.deepEqual(await bodies(`${MESSAGE_1}\n${MESSAGE_2}`), [MESSAGE_1, MESSAGE_2]);
  });

  it("one JSON document on one line, or pretty printed in any style", async () => {
    for (const indent of [0, 1, 2, "\t"]) {
      const text = JSON.stringify(JSON.parse(MESSAGE_1), null, indent);
      assert.deepEqual(await bodies(text), [text]);
      assert.deepEqual(await bodies(`\n${text}\n`), [text]);
    }
    const flat = '{\n"resourceLogs": [\n{"scopeLogs":[]}\n]\n}';
    assert.deepEqual(await bodies(flat), [flat]);
  });

  it("several JSON documents, and an array of them, with their lines", async () => {
    const pretty = JSON.stringify(JSON.parse(MESSAGE_2), null, 1);
    assert.deepEqual(await bodies(`${pretty}\n${pretty}`), [pretty, pretty]);
    assert.deepEqual(await bodies(`${MESSAGE_1}${MESSAGE_2}`), [MESSAGE_1, MESSAGE_2]);
    const items = await read(`[\n${MESSAGE_1},\n\n${MESSAGE_2}\n]\n`);
    assert.deepEqual(
      items.map((item) => [item.kind, item.line]),
      [
        ["request", 2],
        ["request", 4],
      ],
    );
  });

  it("length-prefixed protobuf, JSON messages included; empty messages are passed over", async () => {
    const items = await read(
      Buffer.concat([PROTO_1, Buffer.alloc(0), PROTO_2, Buffer.from(MESSAGE_1)].map(frame)),
    );
    assert.deepEqual(
      items.map((item) => [item.kind, item.offset, item.kind === "request" && item.encoding]),
      [
        ["request", 4, "protobuf"],
        ["request", 16, "protobuf"],
        ["request", 26, "json"],
      ],
    );
  });

  it("one protobuf request, also where its first bytes look like JSON after a newline", async () => {
    assert.deepEqual(await bodies(PROTO_2), [PROTO_2.toString("latin1")]);
    // resource_logs of 123 bytes ("{") that holds a resource of 34 bytes ('"').
    const tricky = Buffer.concat([
      Buffer.from([0x0a, 123, 0x0a, 34, 0x0a, 32]),
      Buffer.alloc(32 + 123 - 36, 0x20),
    ]);
    assert.deepEqual(await bodies(tricky), [tricky.toString("latin1")]);
  });

  it("gzip of each, also in several members", async () => {
    for (const plain of [Buffer.from(`${MESSAGE_1}\n${MESSAGE_2}\n`), frame(PROTO_1), PROTO_2]) {
      const expected = await read(plain);
      assert.ok(expected.length > 0);
      assert.deepEqual(await read(gzipSync(plain)), expected);
      const members = [plain.subarray(0, 3), plain.subarray(3)].map((part) => gzipSync(part));
      assert.deepEqual(await read(Buffer.concat(members)), expected);
    }
  });

  it("an empty input has no messages, compressed or not", async () => {
    assert.deepEqual(await read(""), []);
    assert.deepEqual(await read(gzipSync("")), []);
  });

  it("a named format wins over the recognised one", async () => {
    assert.deepEqual(await bodies(frame(PROTO_1), { from: "otlp-proto-framed" }), [
      PROTO_1.toString("latin1"),
    ]);
    assert.deepEqual(await bodies("garbage\n{}\n", { from: "otlp-json" }), ["rejected", "{}"]);
    await assert.rejects(bodies(PROTO_2, { from: "otlp-proto-framed" }), /looks like otlp-proto$/);
  });

  it("a wrong name is an error that says what it looks like, once all was read", async () => {
    const files: Readonly<Record<string, string | Buffer>> = {
      v1: '{"ts_ns":1,"event":{}}\n{"ts_ns":2,"event":{}}\n',
      "otlp-json": `${JSON.stringify({ resourceLogs: [] })}\n`,
      "otlp-proto": PROTO_2,
      "otlp-proto-framed": Buffer.concat([frame(PROTO_1), frame(PROTO_2)]),
      loki: '{"status":"success","data":{"resultType":"streams","result":[]}}',
      "grafana-json": '[{"line":"x","timestamp":"1","fields":{}}]',
      "grafana-csv": '"Time","Line","labels"\n"1","x","{}"\n',
    };
    for (const [format, content] of Object.entries(files)) {
      for (const from of STORED_FORMATS) {
        const items = bodies(content, { from });
        if (from === format) await items;
        else {
          const message = `no message of the input is ${from}; it looks like ${format}`;
          await assert.rejects(items, { code: "bad-input", message }, message);
        }
      }
    }
    // One message that is of it is enough: what the others are is for their decoder.
    const mixed = `${files.v1}${files["otlp-json"]}`;
    assert.equal((await bodies(mixed, { from: "otlp-json" })).length, 3);
  });

  it("a file is read by its path", async () => {
    const directory = mkdtempSync(join(tmpdir(), "stored-formats-"));
    try {
      const path = join(directory, "logs.jsonl");
      writeFileSync(path, `${MESSAGE_1}\n`);
      assert.equal((await collectStored(path)).length, 1);
      await assert.rejects(collectStored(join(directory, "none")), { code: "not-found" });
      await assert.rejects(collectStored(directory), { code: "io" });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
