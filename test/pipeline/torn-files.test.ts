/** Files whose writer was killed within a message, and appended others when it had started again. */
import assert from "node:assert/strict";
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
