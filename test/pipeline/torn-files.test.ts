/** Files whose writer was killed within a message, and appended others when it had started again. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { createEvidenceReader } from "../../src/pipeline/evidence-reader.ts";
import { Rebuilder } from "../../src/pipeline/rebuild.ts";
import { startProgress, visitInputs } from "../../src/pipeline/stored-inputs.ts";
import { chunked } from "../convert/collect.ts";
import { numberedRecord, textOf } from "./evidence-files.ts";

const read = reader();

/** What a file holds, and what is said of the rest of it. */
function reader() {
  let paths: string[] = [];
  let rejected: string[] = [];
  const pathOf = (text: string) => {
    const { event } = parseEvidenceJson(text) as unknown as EvidenceRecord;
    paths.push((event as { path: string }).path);
  };
  const output = {
    bytes() {},
    line: pathOf,
    ready: async () => {},
    failed: () => false,
    close: async () => {},
  };
  const rebuilder = new Rebuilder({
    output,
    withExtensions: false,
    keepDuplicates: true,
    onInvalid: (reason) => rejected.push(reason),
  });
  const readEvidence = createEvidenceReader();
  return async (bytes: Buffer, cuts: readonly number[] = []) => {
    const tails: number[] = [];
    paths = [];
    rejected = [];
    const input = { name: "in", sizeBytes: undefined, open: () => readStoredRequests(chunked(bytes, cuts)) };
    const failure = await visitInputs(
      [input],
      {
        request({ encoding, body }) {
          if (encoding === "v1") {
            const validation = readEvidence(body);
            if (!validation.valid) return validation.errors.join();
            pathOf(body.toString());
            return undefined;
          }
          try {
            rebuilder.take(encoding, body);
            return undefined;
          } catch (thrown) {
            return (thrown as Error).message;
          }
        },
        rejected: ({ reason }, place) => void rejected.push(`${place}: ${reason}`),
        partialTail: ({ offset }) => void tails.push(offset),
        settle: async () => {},
      },
      { progress: startProgress([input]), report: (line) => rejected.push(line) },
    );
    return { paths, rejected, tails, failure };
  };
}

/** Text with all that means something to JSON lines. */
const HOSTILE = '}"{"resourceLogs":[]}]{"ts_ns":1,{\\"';

function requestOf(...records: readonly EvidenceRecord[]): Buffer {
  const builder = new RequestBuilder();
  for (const [index, record] of records.entries()) {
    const meta = { resources: RESOURCES, timeUnixNano: 1n, observedTimeUnixNano: 2n, streamId: "torn" };
    encodeRecord(builder, record, { ...meta, sequence: index });
  }
  return Buffer.from(builder.seal().body);
}

const RESOURCES = createResourceSource({ "service.name": "torn" });

function fileOpen(path: string): EvidenceRecord {
  return { ...numberedRecord(1), event: { type: "file_open", path } };
}

const jsonLine = (path: string) => Buffer.from(`${requestToJson(requestOf(fileOpen(path)))}\n`);
const v1Line = (path: string) => Buffer.from(`${textOf(fileOpen(path))}\n`);

const LINES = { "OTLP JSON": jsonLine, v1: v1Line };

for (const [name, line] of Object.entries(LINES)) {
  describe(`lines of ${name} torn at any byte`, function () {
    this.timeout(30_000);
    const [first, torn, next, last] = ["1", HOSTILE, `2${HOSTILE}`, "3"].map(line) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];

    it("cost the torn message, which is named with its offset, and no other one", async () => {
      for (let length = 0; length < torn.length; length++) {
        const cut = torn.subarray(0, length);
        const { paths, rejected, tails } = await read(Buffer.concat([first, cut, next, last]));
        const isWhole = length === torn.length - 1;
        const all = ["1", ...(isWhole ? [HOSTILE] : []), `2${HOSTILE}`, "3"];
        assert.deepEqual([paths, tails], [all, []], `cut at ${length}`);
        const said = `in:2: a message is torn: ${length} bytes at byte ${first.length}`;
        assert.deepEqual(rejected, length === 0 || isWhole ? [] : [said]);
      }
    });

    it("are recognised where there is nothing before, and only one message behind", async () => {
      for (let length = 1; length < torn.length - 1; length++) {
        const { paths, failure } = await read(Buffer.concat([torn.subarray(0, length), next]));
        assert.deepEqual([paths, failure], [[`2${HOSTILE}`], undefined], `cut at ${length}`);
      }
    });

    it("may be torn again and again, and at the end as well", async () => {
      const cut = fc.nat(torn.length - 20).map((length) => torn.subarray(0, length + 18));
      await fc.assert(
        fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 4 }), cut, async (cuts, tail) => {
          const bytes = Buffer.concat([first, ...cuts, next, ...cuts, tail]);
          const { paths, rejected, tails } = await read(bytes, [first.length + 5, bytes.length - 3]);
          assert.deepEqual(paths, ["1", `2${HOSTILE}`]);
          assert.equal(rejected.length, 2);
          assert.equal(tails.length, 1);
        }),
        { numRuns: 100 },
      );
    });
  });
}

const frame = (body: Buffer) => {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
};
const FRAMES: Readonly<Record<string, (...paths: string[]) => Buffer>> = {
  protobuf: (...paths) => frame(requestOf(...paths.map(fileOpen))),
  zstd: (...paths) => frame(zstdCompressSync(requestOf(...paths.map(fileOpen)))),
  JSON: (...paths) => frame(Buffer.from(requestToJson(requestOf(...paths.map(fileOpen))))),
};

for (const [name, framed] of Object.entries(FRAMES)) {
  describe(`length-prefixed ${name} torn at any byte`, function () {
    this.timeout(60_000);
    // Lengths such that a torn message ends within the next one, with it, or behind it.
    const [first, torn, next, last] = [framed("1"), framed("2", "3"), framed("4", "5"), framed("6")] as const;

    it("costs the torn message, which is named with its offset, and no other one", async () => {
      for (let length = 0; length <= torn.length; length++) {
        const bytes = Buffer.concat([first, torn.subarray(0, length), next, last, first]);
        const { paths, rejected, tails } = await read(bytes);
        const isWhole = length === torn.length;
        const all = ["1", ...(isWhole ? ["2", "3"] : []), "4", "5", "6", "1"];
        assert.deepEqual([paths, tails], [all, []], `cut at ${length}`);
        const said = `no whole message: ${length} bytes at byte ${first.length} were passed over`;
        // Up to three zeros may as well be those of an empty message with the next length.
        if (length < 4) continue;
        assert.deepEqual(rejected, isWhole ? [] : [`in: byte ${first.length}: ${said}`]);
      }
    });

    it("is the same however the bytes come, and with nothing but one message behind", async () => {
      for (let length = 1; length < torn.length; length += 7) {
        const bytes = Buffer.concat([first, torn.subarray(0, length), next]);
        const whole = await read(bytes);
        assert.deepEqual(whole.paths, ["1", "4", "5"], `cut at ${length}`);
        const everywhere = Array.from({ length: bytes.length }, (_, index) => index);
        for (const cuts of [everywhere, [first.length + length, bytes.length - 1]]) {
          assert.deepEqual(await read(bytes, cuts), whole);
        }
      }
    });

    it("may be torn again and again, and at the end as well", async () => {
      const cut = fc.nat(torn.length - 2).map((length) => torn.subarray(0, length + 1));
      await fc.assert(
        fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 4 }), cut, async (cuts, tail) => {
          const bytes = Buffer.concat([first, ...cuts, next, last, ...cuts, first, tail]);
          const { paths, rejected, tails } = await read(bytes, [first.length + 5, bytes.length - 3]);
          // Parts of one message may by chance make a whole one.
          const others = paths.filter((path) => path !== "2" && path !== "3");
          assert.deepEqual(others, ["1", "4", "5", "6", "1"]);
          assert.deepEqual(tails, [bytes.length - tail.length]);
          assert.ok(rejected.length <= 2 * cuts.length);
        }),
        { numRuns: 200 },
      );
    });
  });
}

describe("length-prefixed messages among bytes that are none", () => {
  const [first, next] = [FRAMES.protobuf?.("1"), FRAMES.protobuf?.("2")] as [Buffer, Buffer];

  it("are found behind a hole of zeros, behind random bytes, and behind a length that was changed", async () => {
    const random = createHash("shake256", { outputLength: 100_000 }).update("bytes").digest();
    const changed = Buffer.from(next);
    changed.writeUInt32BE(next.length + 1000);
    for (const bytes of [Buffer.alloc(4095), random, changed, Buffer.alloc(5, 0xff)]) {
      const { paths } = await read(Buffer.concat([first, bytes, first, next]));
      assert.deepEqual(paths.filter((path) => path === "1").length, 2);
      assert.equal(paths.at(-1), "2");
    }
  });

  it("that are damaged inside are for their decoder, and the next one is read", async () => {
    const damaged = Buffer.from(next);
    damaged[damaged.length - 20] = 0xff;
    const { paths, rejected, tails } = await read(Buffer.concat([first, damaged, next]));
    assert.deepEqual([paths.at(0), paths.at(-1), tails], ["1", "2", []]);
    assert.ok(rejected.length <= 1);
  });

  it("are searched in time, however many seem to start in each other", async function () {
    this.timeout(20_000);
    const nested = Buffer.alloc(2 * 1024 * 1024);
    // Each says that it goes up to the end of all, which is not so.
    for (let at = 0; at + 16 < nested.length; at += 16) {
      const length = nested.length - at;
      nested.writeUInt32BE(length, at);
      let rest = length - 4;
      let position = at + 4;
      for (const tag of [0x0a, 0x12, 0x12]) {
        nested[position] = tag;
        nested.set([(rest & 0x7f) | 0x80, ((rest >> 7) & 0x7f) | 0x80, rest >> 14], position + 1);
        position += 4;
        rest -= 4;
      }
    }
    const { paths } = await read(Buffer.concat([first, nested, Buffer.alloc(3, 0xff), first, next]));
    assert.deepEqual([paths.at(0), paths.at(-1)], ["1", "2"]);
  });
});

describe("lines that only look torn", () => {
  it("are one record where a member of it looks like a message", async () => {
    const inner = textOf(fileOpen("inner"));
    const outer = `${textOf(fileOpen("outer")).slice(0, -1)},"of":[${inner},${inner}]}`;
    const { paths, rejected } = await read(Buffer.from(`${outer}\n${outer}\n`));
    assert.deepEqual([paths, rejected], [["outer", "outer"], []]);
  });

  it("are rejected once and in time, however many messages seem to start in them", async function () {
    this.timeout(10_000);
    for (const start of ['{"ts_ns":', '{"ts_ns":[', '{"ts_ns"{', '{"ts_ns":"']) {
      const line = start.repeat(Math.floor((3 * 1024 * 1024) / start.length));
      const { paths, rejected } = await read(
        Buffer.concat([v1Line("1"), Buffer.from(`${line}\n`), v1Line("2")]),
      );
      assert.deepEqual([paths, rejected.length], [["1", "2"], 1], start);
    }
  });
});
