import assert from "node:assert/strict";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { readStoredRequests, type StoredRequestOptions } from "../../src/convert/stored-requests.ts";
import { chunked, collectStored } from "./collect.ts";

const LINES = Array.from({ length: 6000 }, (_, index) => `{"resourceLogs":[{"schemaUrl":"${index}"}]}\n`);
const TEXT = Buffer.from(LINES.join(""));
const MESSAGE = Buffer.from(LINES[7] as string);
/** Content size not known, checksum, blocks of their own: what a stream writes. */
const STREAM_PARAMS = {
  [constants.ZSTD_c_checksumFlag]: 1,
  [constants.ZSTD_c_contentSizeFlag]: 0,
};

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

/** A frame that decompressors pass over (RFC 8878 section 3.1.2). */
function skippable(content: Buffer): Buffer {
  const header = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, content]);
}

async function read(bytes: Buffer, cuts: readonly number[] = [], options?: StoredRequestOptions) {
  return await collectStored(chunked(bytes, cuts), options);
}

describe("compressed files", () => {
  it("zstd of many frames, with and without sizes and checksums, and frames to be skipped", async () => {
    const expected = await read(TEXT);
    assert.equal(expected.length, LINES.length);
    const sized = zstdCompressSync(TEXT.subarray(0, 30_000));
    const unsized = zstdCompressSync(TEXT.subarray(30_000, 60_000), { params: STREAM_PARAMS });
    const small =
      LINES.join("")
        .slice(60_000)
        .match(/[\s\S]{1,50}/g) ?? [];
    const frames = [
      sized,
      skippable(Buffer.from("meta")),
      unsized,
      zstdCompressSync(""),
      skippable(Buffer.alloc(0)),
      ...small.map((text) => zstdCompressSync(text)),
    ];
    assert.deepEqual(await read(Buffer.concat(frames)), expected);
  });

  it("any chunking of zstd and of gzip gives the same messages", async () => {
    const members = [TEXT.subarray(0, 5), TEXT.subarray(5, 9000), TEXT.subarray(9000)];
    const frames = members.map((member) => zstdCompressSync(member, { params: STREAM_PARAMS }));
    const expected = await read(TEXT);
    for (const stored of [Buffer.concat(frames), Buffer.concat(members.map((member) => gzipSync(member)))]) {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(stored.length), { maxLength: 20 }), async (cuts) => {
          assert.deepEqual(await read(stored, cuts), expected);
        }),
        { numRuns: 20 },
      );
      const everywhere = Array.from({ length: Math.min(stored.length, 300) }, (_, index) => index);
      assert.deepEqual(await read(stored, everywhere), expected);
    }
  });

  it("length-prefixed protobuf in zstd, and messages that are zstd each, JSON and protobuf", async () => {
    const proto = Buffer.from([0x0a, 0x02, 0x12, 0x00]);
    const whole = await read(zstdCompressSync(Buffer.concat([frame(proto), frame(proto)])));
    assert.deepEqual(
      whole.map((item) => [item.kind, item.offset]),
      [
        ["request", 4],
        ["request", 12],
      ],
    );
    const parts = [proto, MESSAGE, proto].map((message) => frame(zstdCompressSync(message)));
    const each = await read(Buffer.concat(parts));
    assert.deepEqual(
      each.map((item) => item.kind === "request" && [item.encoding, item.body.toString()]),
      [
        ["protobuf", proto.toString()],
        ["json", MESSAGE.toString()],
        ["protobuf", proto.toString()],
      ],
    );
    assert.equal(each[2]?.offset, (parts[0]?.length ?? 0) + (parts[1]?.length ?? 0) + 4);
    const split = [proto.subarray(0, 1), proto.subarray(1)].map((part) => zstdCompressSync(part));
    const [twoFrames] = await read(frame(Buffer.concat(split)));
    assert.ok(twoFrames?.kind === "request" && twoFrames.body.equals(proto));
  });

  it("a cut of the compressed bytes is a partial tail, and what came before is read", async () => {
    const checksummed = zstdCompressSync(TEXT, { params: STREAM_PARAMS });
    for (const bytes of [zstdCompressSync(TEXT), checksummed, gzipSync(TEXT)]) {
      for (const missing of [1, 3, 4, 5, 100, bytes.length - 30]) {
        const items = await read(bytes.subarray(0, bytes.length - missing));
        assert.equal(items.at(-1)?.kind, "partial-tail", `${missing} bytes are missing`);
        const requests = items.slice(0, -1);
        assert.ok(requests.every(({ kind }) => kind === "request"));
        // Without the checksum alone, or the last of two blocks.
        if (bytes === checksummed && missing < 4) assert.equal(requests.length, LINES.length);
        if (missing < 100) assert.ok(requests.length > LINES.length / 2, `${requests.length} messages`);
      }
    }
    // The block that is cut is not compressed: what is missing is the newline of its message.
    const two = Buffer.concat([zstdCompressSync(MESSAGE), zstdCompressSync(MESSAGE)]);
    const cut = await read(two.subarray(0, -1));
    assert.deepEqual(
      cut.map(({ kind }) => kind),
      ["request", "request", "partial-tail"],
    );
    const skipped = await read(
      Buffer.concat([zstdCompressSync(MESSAGE), skippable(Buffer.alloc(100)).subarray(0, 50)]),
    );
    assert.deepEqual(skipped[1], { kind: "partial-tail", offset: MESSAGE.length, bytes: 0 });
  });

  it("garbage behind the last frame is an error with its place; what came before is read", async () => {
    const stored = zstdCompressSync(MESSAGE);
    for (const cuts of [[], [stored.length], [stored.length + 2]]) {
      let requests = 0;
      const reading = async () => {
        const bytes = Buffer.concat([stored, Buffer.from("garbage")]);
        for await (const items of readStoredRequests(chunked(bytes, cuts))) requests += items.length;
      };
      await assert.rejects(reading, {
        code: "bad-input",
        message: new RegExp(`the input is damaged zstd at byte ${stored.length}: `),
      });
      assert.equal(requests, 1);
    }
  });

  it("a damaged message in zstd is rejected with its place and the next one is read", async () => {
    const proto = Buffer.alloc(300, Buffer.from([0x0a, 0x02, 0x12, 0x00]));
    const good = frame(zstdCompressSync(proto, { params: STREAM_PARAMS }));
    const damaged = Buffer.from(good);
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 0xff;
    const items = await read(Buffer.concat([good, damaged, good]));
    assert.deepEqual(
      items.map(({ kind }) => kind),
      ["request", "rejected", "request"],
    );
    assert.equal(items[1]?.offset, good.length + 4);
    const bomb = frame(zstdCompressSync(Buffer.alloc(2_000_000)));
    const [first, second] = await read(Buffer.concat([bomb, good]), [], { messageBytesMax: 1_000_000 });
    assert.deepEqual(first, {
      kind: "rejected",
      offset: 4,
      reason: "message decompresses to more than the limit of 1000000 bytes",
    });
    assert.equal(second?.kind, "request");
  });

  it("compressed twice is an error that says so", async () => {
    for (const stored of [
      gzipSync(gzipSync(TEXT)),
      gzipSync(zstdCompressSync(TEXT)),
      zstdCompressSync(gzipSync(TEXT)),
    ]) {
      await assert.rejects(read(stored), { code: "bad-input", message: /compressed twice/ });
    }
  });

  it("a window over the limit is an error", async () => {
    // Descriptor without a content size, then a window of 2^(10 + 18) bytes, then one raw block of one byte.
    const wide = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 0x09, 0x00, 0x00, 0x7b]);
    await assert.rejects(read(wide), { code: "bad-input", message: /zstd/ });
  });
});
