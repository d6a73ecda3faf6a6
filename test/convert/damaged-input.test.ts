import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { readStoredRequests, type StoredRequestOptions } from "../../src/convert/stored-requests.ts";
import { chunked, collectStored } from "./collect.ts";

const MESSAGE = '{"resourceLogs":[{"scopeLogs":[]}]}';

function frame(body: Buffer, length = body.length): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  return Buffer.concat([prefix, body]);
}

async function read(input: string | Buffer, options?: StoredRequestOptions) {
  return await collectStored(chunked(Buffer.from(input), []), options);
}

async function kinds(input: string | Buffer, options?: StoredRequestOptions): Promise<string[]> {
  return (await read(input, options)).map((item) => item.kind);
}

describe("damaged input is reported and the rest is read", () => {
  it("a last line that is cut is a partial tail with its place", async () => {
    const items = await read(`${MESSAGE}\n${MESSAGE.slice(0, 10)}`);
    assert.equal(items[0]?.kind, "request");
    assert.deepEqual(items[1], { kind: "partial-tail", offset: MESSAGE.length + 1, line: 2, bytes: 10 });
  });

  it("a cut document, a cut array and a cut frame are partial tails", async () => {
    const pretty = JSON.stringify(JSON.parse(MESSAGE), null, 2);
    assert.deepEqual(await read(pretty.slice(0, -3)), [
      { kind: "partial-tail", offset: 0, line: 1, bytes: pretty.length - 3 },
    ]);
    assert.deepEqual(await kinds(`[${MESSAGE},\n`), ["request", "partial-tail"]);
    const framed = frame(Buffer.from([0x0a, 0x00]));
    const items = await read(Buffer.concat([framed, framed.subarray(0, 5)]));
    assert.deepEqual(items[1], { kind: "partial-tail", offset: 6, bytes: 5 });
  });

  it("a cut protobuf request gives its whole fields, then the partial tail", async () => {
    const [whole, tail] = await read(Buffer.from([0x0a, 0x02, 0x12, 0x00, 0x0a, 0x05, 0x12]));
    assert.ok(whole?.kind === "request");
    assert.deepEqual([...whole.body], [0x0a, 0x02, 0x12, 0x00]);
    assert.deepEqual(tail, { kind: "partial-tail", offset: 4, bytes: 3 });
  });

  it("protobuf that goes wrong is rejected where it does", async () => {
    const items = await read(
      Buffer.from([0x0a, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    );
    assert.deepEqual(items[1], { kind: "rejected", offset: 2, reason: "not a protobuf field" });
  });

  it("a bad line is rejected with its number, offset and reason", async () => {
    const items = await read(`${MESSAGE}\nnot json\n"text"\n${MESSAGE}\n`);
    assert.deepEqual(
      items.map((item) => item.kind),
      ["request", "rejected", "rejected", "request"],
    );
    assert.deepEqual(items[1], {
      kind: "rejected",
      offset: MESSAGE.length + 1,
      line: 2,
      reason: "line is not a JSON object",
    });
  });

  it("a torn first line does not turn JSON lines into one document", async () => {
    assert.deepEqual(await kinds(`{"resourceLogs":[{"sco\n${MESSAGE}\n${MESSAGE}\n`), [
      "request",
      "request",
      "request",
    ]);
  });

  it("bytes between documents are rejected once", async () => {
    assert.deepEqual(await kinds(`${MESSAGE} oops ${MESSAGE}`), ["request", "rejected", "request"]);
  });

  it("messages over the limit are skipped in each format", async () => {
    const long = MESSAGE.replace("[]", `["${"x".repeat(200)}"]`);
    const options = { messageBytesMax: 100 };
    assert.deepEqual(await kinds(`${MESSAGE}\n${long}\n${MESSAGE}\n`, options), [
      "request",
      "rejected",
      "request",
    ]);
    assert.deepEqual(await kinds(`${long}\n${MESSAGE}\n`, options), ["rejected", "request"]);
    assert.deepEqual(await kinds(`[${MESSAGE},${long},${MESSAGE}]`, options), [
      "request",
      "rejected",
      "request",
    ]);
    const short = Buffer.from([0x0a, 0x00]);
    const record = Buffer.from([0x0a, 0x04, 0x12, 0x02, 0x12, 0x00]);
    const over = Buffer.concat([Buffer.from([0x0a, 0xc5, 0x01, 0x1a, 0xc2, 0x01]), Buffer.alloc(194, "x")]);
    const frames = Buffer.concat([frame(short), frame(over), frame(record)]);
    assert.deepEqual(await kinds(frames, options), ["request", "rejected", "request"]);
    const raw = Buffer.concat([Buffer.from([0x0a, 0xc8, 0x01]), Buffer.alloc(200)]);
    assert.deepEqual(await read(raw, options), [
      { kind: "rejected", offset: 0, reason: "message of 203 bytes is over the limit of 100 bytes" },
    ]);
  });

  it("a length of 4 GiB reserves nothing and says so", async () => {
    const whole = frame(Buffer.from([0x0a, 0x00]));
    const items = await read(Buffer.concat([whole, frame(Buffer.alloc(1000), 0xffffffff)]));
    assert.equal(items.length, 2);
    assert.deepEqual(items[1], {
      kind: "rejected",
      offset: 6,
      reason: "no whole message: 1004 bytes at byte 6 were passed over",
    });
  });

  it("an unknown format is one error that names the formats", async () => {
    for (const input of ["hello", "<xml/>", "\x7fELF", "PK\x03\x04"]) {
      await assert.rejects(read(input), {
        code: "bad-input",
        message: /v1, otlp-json, otlp-proto-framed, otlp-proto/,
      });
    }
  });

  it("random bytes end in items or in one error, in every format", async () => {
    const random = randomBytes(1_000_000);
    await read(random).catch((error) => assert.equal(error.code, "bad-input"));
    for (const from of ["otlp-json", "otlp-proto-framed", "otlp-proto"] as const) {
      const place = `first bytes ${random.subarray(0, 16).toString("hex")}`;
      for (const item of await read(Buffer.concat([Buffer.from([1]), random]), { from })) {
        assert.ok(item.offset <= random.length + 1, place);
      }
    }
  });

  it("gzip cut at any byte gives the whole lines up to there", async () => {
    const text = `${MESSAGE}\n`.repeat(3) + randomBytes(300).toString("hex");
    const gzip = gzipSync(text);
    let most = 0;
    for (let length = 2; length < gzip.length; length++) {
      const items = await read(gzip.subarray(0, length)).catch((error) => {
        assert.equal(error.code, "bad-input");
        return [];
      });
      const requests = items.filter((item) => item.kind === "request").length;
      assert.ok(requests >= most, `cut at ${length}: ${requests} after ${most}`);
      most = requests;
    }
    assert.equal(most, 3);
  });

  it("damaged gzip hands on what came before, then is an error", async () => {
    const lines = gzipSync(`${MESSAGE}\n`);
    const gzip = Buffer.concat([lines, Buffer.from([0x1f, 0x8b, 0x08, 0xff, 0xff, 0xff])]);
    for (const cuts of [[gzip.length - 6], [gzip.length - 6, gzip.length - 2]]) {
      const kinds: string[] = [];
      const reading = async () => {
        for await (const items of readStoredRequests(chunked(gzip, cuts))) {
          kinds.push(...items.map(({ kind }) => kind));
        }
      };
      await assert.rejects(reading, { code: "bad-input", message: /damaged gzip/ });
      assert.deepEqual(kinds, ["request"]);
    }
  });
});

describe("memory is bounded", function () {
  this.timeout(30_000);

  it("a gzip bomb inflates in small steps and only up to the limit", async () => {
    const member = gzipSync(Buffer.alloc(64 * 1024 * 1024, "x"));
    async function* bomb() {
      yield gzipSync(`${MESSAGE}\n`);
      for (let count = 0; count < 4; count++) yield member;
    }
    const before = process.memoryUsage.rss();
    const items = await collectStored(bomb(), { messageBytesMax: 1024 * 1024 });
    const grownBytes = process.memoryUsage.rss() - before;
    assert.deepEqual(
      items.map((item) => item.kind),
      ["request", "rejected"],
    );
    assert.ok(grownBytes < 128 * 1024 * 1024, `resident memory grew by ${grownBytes} bytes`);
    await assert.rejects(collectStored(bomb(), { inflatedBytesMax: 100 * 1024 * 1024 }), { code: "limit" });
  });
});
