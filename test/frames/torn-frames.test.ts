import assert from "node:assert/strict";
import fc from "fast-check";
import { FrameSplitter } from "../../src/frames/split.ts";
import { fileOpenFrame, helloFrame, processExecFrame, tcpStateFrame } from "./build-frame.ts";

const FRAMES = [
  helloFrame(),
  fileOpenFrame({ path: "a" }),
  processExecFrame({ filename: `/${"x".repeat(4094)}` }),
  tcpStateFrame(),
  fileOpenFrame({ path: `/${"long/".repeat(800)}` }),
];
const STREAM = Buffer.concat(FRAMES);

function split(chunks: readonly Buffer[]): { frames: Buffer[]; splitter: FrameSplitter } {
  const splitter = new FrameSplitter();
  const frames: Buffer[] = [];
  for (const chunk of chunks) {
    // A copy that is overwritten afterwards, as a reused read buffer would be.
    const lent = Buffer.from(chunk);
    splitter.push(lent, (buffer, start) => {
      frames.push(Buffer.from(buffer.subarray(start, start + buffer.readUInt32LE(start))));
    });
    lent.fill(0xee);
  }
  return { frames, splitter };
}

describe("torn frames", () => {
  it("come out whole when the stream is cut in two at every byte", () => {
    for (let cut = 0; cut <= STREAM.length; cut++) {
      const { frames, splitter } = split([STREAM.subarray(0, cut), STREAM.subarray(cut)]);
      assert.deepEqual(frames, FRAMES, `cut at ${cut}`);
      assert.equal(splitter.tornTailBytes, 0);
      assert.equal(splitter.skippedBytes, 0);
    }
  });

  it("come out whole byte by byte", () => {
    const bytes = Array.from(STREAM, (_, index) => STREAM.subarray(index, index + 1));
    assert.deepEqual(split(bytes).frames, FRAMES);
  });

  it("come out whole however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: STREAM.length }), { maxLength: 40 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
        const chunks = at.slice(1).map((end, index) => STREAM.subarray(at[index], end));
        assert.deepEqual(split(chunks).frames, FRAMES);
      }),
      { numRuns: 300 },
    );
  });

  it("leave an unfinished frame as a torn tail of the right size, wherever the stream ends", () => {
    const ends: number[] = [];
    for (const frame of FRAMES) ends.push((ends.at(-1) ?? 0) + frame.length);
    for (let end = 0; end <= STREAM.length; end += 7) {
      const { frames, splitter } = split([STREAM.subarray(0, end)]);
      const whole = ends.filter((boundary) => boundary <= end).length;
      assert.equal(frames.length, whole);
      assert.equal(splitter.tornTailBytes, end - (ends[whole - 1] ?? 0));
    }
  });
});

describe("damaged streams", () => {
  it("lose only the damaged frame, and say where and how much", () => {
    const garbage = Buffer.alloc(37, 0xff);
    const damaged = Buffer.concat([FRAMES[0] as Buffer, garbage, ...FRAMES.slice(1)]);
    for (const size of [1, 3, 64, damaged.length]) {
      const chunks = [];
      for (let at = 0; at < damaged.length; at += size) chunks.push(damaged.subarray(at, at + size));
      const { frames, splitter } = split(chunks);
      assert.deepEqual(frames, FRAMES, `chunks of ${size}`);
      assert.equal(splitter.skippedBytes, garbage.length);
      assert.equal(splitter.firstDamageOffset, (FRAMES[0] as Buffer).length);
    }
  });

  it("never hang or throw on random bytes, and account for every byte", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 8 }), (chunks) => {
        const { frames, splitter } = split(chunks.map((chunk) => Buffer.from(chunk)));
        const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        const inFrames = frames.reduce((sum, frame) => sum + frame.length, 0);
        assert.equal(inFrames + splitter.skippedBytes + splitter.tornTailBytes, total);
      }),
      { numRuns: 500 },
    );
  });
});
