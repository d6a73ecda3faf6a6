/** What verify says of stored streams is what a model says of them: every number, however they were stored. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import type { LossRecord } from "../../src/otlp/loss-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import type { StreamRecord } from "../../src/otlp/stream-record.ts";
import { fileInput, startProgress } from "../../src/pipeline/stored-inputs.ts";
import type { StreamReport } from "../../src/pipeline/stream-tally.ts";
import { type VerifyOptions, type VerifyResult, verify } from "../../src/pipeline/verify.ts";
import { encodeSent, type ModelReport, modelOf, type SentRecord, storedCopies } from "./stream-model.ts";

function bodyOf(records: readonly SentRecord[]): Buffer {
  const builder = new RequestBuilder();
  for (const record of records) encodeSent(builder, record);
  return builder.seal().body;
}

function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

interface FileShape {
  readonly json: boolean;
  readonly gzip: boolean;
  /** The last request of the file is cut: the file was being written when somebody pulled the plug. */
  readonly torn: boolean;
  readonly requestRecordsMax: number;
}

const fileShapes = fc.array(
  fc.record({
    json: fc.boolean(),
    gzip: fc.boolean(),
    torn: fc.boolean(),
    requestRecordsMax: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The bytes of a file, and which of its records can be read from it. */
function storedFile(
  records: readonly SentRecord[],
  shape: FileShape,
): { bytes: Buffer; readable: SentRecord[] } {
  const messages: { bytes: Buffer; records: readonly SentRecord[] }[] = [];
  for (let start = 0; start < records.length; start += shape.requestRecordsMax) {
    const some = records.slice(start, start + shape.requestRecordsMax);
    const body = bodyOf(some);
    messages.push({
      bytes: shape.json ? Buffer.from(`${requestToJson(body)}\n`) : framed(body),
      records: some,
    });
  }
  const last = messages.at(-1);
  // A first message that is cut can't be recognised as what it is.
  if (shape.torn && last !== undefined && messages.length > 1) {
    messages[messages.length - 1] = { bytes: last.bytes.subarray(0, last.bytes.length >> 1), records: [] };
  }
  const bytes = Buffer.concat(messages.map((message) => message.bytes));
  return {
    bytes: shape.gzip && bytes.length > 0 ? gzipSync(bytes, { level: 1 }) : bytes,
    readable: messages.flatMap((message) => message.records),
  };
}

const sum = (counts: Iterable<number>) => [...counts].reduce((total, count) => total + count, 0);

function assertIsModel(report: StreamReport, model: ModelReport): void {
  assert.equal(report.records, model.records);
  assert.equal(report.control, model.control);
  assert.equal(report.duplicates, model.duplicates);
  assert.equal(report.lastSequence, model.lastSequence);
  assert.equal(report.missing, model.missing);
  assert.deepEqual(Object.fromEntries(report.explained), model.explained);
  assert.equal(report.unexplained, model.missing - sum(Object.values(model.explained)));
  assert.equal(
    report.unnumbered.reduce((total, { count }) => total + count, 0n),
    model.unnumbered,
  );
  assert.equal(report.state, model.ended ? "ended" : "unended");
  assert.deepEqual(Object.fromEntries(report.recordsByType), model.recordsByType);
  assert.equal(sum(report.gaps.map(({ first, last }) => last - first + 1)), model.missing);
  assert.equal(sum(report.gaps.map(({ explained }) => explained)), sum(report.explained.values()));
  assert.equal(report.gaps.length, report.gapCount);
}

describe("verify", function () {
  this.timeout(60_000);
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-verify-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const verifyFiles = async (
    files: readonly Buffer[],
    options: Partial<VerifyOptions> = {},
  ): Promise<VerifyResult> => {
    const inputs = files.map((bytes, index) => {
      const path = join(directory, `${index}`);
      writeFileSync(path, bytes);
      return fileInput({ path, sizeBytes: bytes.length }, "auto");
    });
    return verify({
      inputs,
      progress: startProgress(inputs),
      gapsShownMax: Number.POSITIVE_INFINITY,
      report: () => {},
      ...options,
    });
  };
  const verifyRecords = (records: readonly SentRecord[], options?: Partial<VerifyOptions>) =>
    verifyFiles(records.length === 0 ? [] : [framed(bodyOf(records))], options);

  it("says what the model says, of any streams in any files", async () => {
    await fc.assert(
      fc.asyncProperty(storedCopies, fileShapes, async (copies, shapes) => {
        const perFile = Math.ceil(copies.length / shapes.length);
        const files = shapes.map((shape, index) =>
          storedFile(copies.slice(index * perFile, (index + 1) * perFile), shape),
        );
        const result = await verifyFiles(files.map(({ bytes }) => bytes));
        const received = files.flatMap(({ readable }) => readable);
        const model = modelOf(received);
        assert.equal(result.read, received.length);
        assert.equal(result.badMessages + result.foreign + result.damaged + result.unnumbered, 0);
        assert.deepEqual(result.streams.map(({ streamId }) => streamId).sort(), [...model.keys()].sort());
        for (const report of result.streams) assertIsModel(report, model.get(report.streamId) as ModelReport);
      }),
      { numRuns: 80 },
    );
  });

  const evidence = (sequence: number, streamId = "s"): SentRecord => ({
    kind: "evidence",
    streamId,
    sequence,
    type: "file_open",
  });
  const many = (first: number, last: number, streamId?: string) =>
    Array.from({ length: last - first + 1 }, (_, index) => evidence(first + index, streamId));
  const end = (sequence: number, more: Partial<StreamRecord> = {}): SentRecord => ({
    kind: "stream",
    streamId: "s",
    sequence,
    stream: { streamId: "s", state: "end", lastSequence: sequence, counts: [], timeUnixNano: 1n, ...more },
  });
  const loss = (sequence: number, more: Partial<LossRecord>, streamId = "s"): SentRecord => ({
    kind: "loss",
    streamId,
    sequence,
    loss: {
      streamId: "s",
      lossId: sequence,
      reason: "queue_full",
      probe: "file_open",
      count: 1n,
      firstTimeUnixNano: 1n,
      lastTimeUnixNano: 2n,
      sequences: [],
      ...more,
    },
  });

  it("judges: complete, accounted for, unended, incomplete, nothing", async () => {
    const verdict = async (...records: SentRecord[]) => (await verifyRecords(records)).verdict;
    assert.equal(await verdict(...many(1, 9), end(10)), "complete");
    assert.equal(await verdict(...many(1, 9), ...many(4, 6), end(10)), "complete");
    const claim = { count: 2n, sequences: [{ first: 1, last: 9, count: 2 }] };
    assert.equal(await verdict(...many(3, 9), loss(10, claim), end(11)), "accounted");
    assert.equal(await verdict(...many(1, 9), loss(10, { reason: "ring_full" }), end(11)), "accounted");
    assert.equal(
      await verdict(...many(1, 9), loss(10, { reason: "probe_down", count: 0n }), end(11)),
      "accounted",
    );
    assert.equal(await verdict(...many(1, 9)), "unended");
    assert.equal(await verdict(...many(4, 9), loss(10, claim), end(11)), "incomplete");
    assert.equal(await verdict(...many(1, 8), end(10)), "incomplete");
    assert.equal(
      await verdict(...many(1, 9), end(10), ...many(1, 1, "other"), ...many(3, 3, "other")),
      "incomplete",
    );
    assert.equal(await verdict(), "none");
  });

  it("believes the end record where a loss record did not arrive, and says when counts disagree", async () => {
    const counts = (recorded: bigint, ringFull: bigint) => [
      {
        probe: "file_open",
        seen: recorded + ringFull,
        recorded,
        filtered: 0n,
        lost: new Map([["ring_full", ringFull]]),
      },
    ];
    const reported = loss(10, { reason: "ring_full", count: 3n });
    const { streams } = await verifyRecords([...many(1, 9), reported, end(11, { counts: counts(9n, 5n) })]);
    assert.deepEqual(streams[0]?.unnumbered, [{ reason: "ring_full", probe: "file_open", count: 5n }]);
    assert.deepEqual(streams[0]?.disagreements, []);
    const wrong = await verifyRecords([...many(1, 9), end(10, { counts: counts(12n, 0n) })]);
    assert.equal(wrong.verdict, "incomplete");
    assert.match(wrong.streams[0]?.disagreements[0] ?? "", /recorded 12, received were 9/);
  });

  it("takes a report of a later stream, and a stream of which nothing arrived", async () => {
    const lost = { streamId: "s", count: 5n, sequences: [{ first: 1, last: 5, count: 5 }] };
    const unended: SentRecord = {
      kind: "stream",
      streamId: "later",
      sequence: 1,
      stream: { streamId: "s", state: "unended", lastSequence: 7, counts: [], timeUnixNano: 1n },
    };
    const { streams, verdict } = await verifyRecords([unended, loss(2, lost, "later"), evidence(3, "later")]);
    const [later, dead] = streams;
    assert.deepEqual([later?.streamId, later?.records, later?.missing], ["later", 1, 0]);
    assert.deepEqual(
      [dead?.reportedUnended, dead?.missing, dead?.unexplained, dead?.records],
      [true, 7, 2, 0],
    );
    assert.deepEqual(dead?.gaps, [{ first: 1, last: 7, explained: 5 }]);
    assert.equal(verdict, "incomplete");
  });

  it("knows from a loss record how far an earlier stream went, however often the record comes", async () => {
    const lost = { streamId: "s", count: 4n, sequences: [{ first: 6, last: 9, count: 4 }] };
    const report = loss(1, lost, "later");
    const { streams } = await verifyRecords([
      ...many(1, 5),
      report,
      report,
      loss(2, { ...lost, lossId: 1 }, "later"),
    ]);
    const [dead, later] = streams;
    assert.deepEqual(
      [dead?.lastSequence, dead?.missing, dead?.unexplained, dead?.lostButReceived],
      [9, 4, 0, 0],
    );
    assert.deepEqual([later?.control, later?.duplicates], [2, 1]);
  });

  it("says what was reported lost and came after all", async () => {
    const claim = { count: 4n, sequences: [{ first: 2, last: 5, count: 4 }] };
    const { streams, verdict } = await verifyRecords([
      ...many(1, 3),
      ...many(5, 9),
      loss(10, claim),
      end(11),
    ]);
    assert.equal(verdict, "accounted");
    assert.equal(streams[0]?.lostButReceived, 3);
    assert.deepEqual(streams[0]?.gaps, [{ first: 4, last: 4, explained: 1 }]);
  });

  it("ends at its limits with what to do, and not with the memory", async () => {
    const apart = Array.from({ length: 50 }, (_, index) => evidence(2 * index + 1));
    await assert.rejects(verifyRecords(apart, { gapsMax: 20 }), (error: RuntimeEvidenceError) => {
      assert.equal(error.code, "limit");
      assert.match(error.message, /--gaps-max/);
      return true;
    });
    const streams = Array.from({ length: 30 }, (_, index) => evidence(1, `s${index}`));
    await assert.rejects(verifyRecords(streams, { streamsMax: 20 }), /--streams-max/);
    assert.equal((await verifyRecords(streams, { streamsMax: 30 })).streams.length, 30);
  });

  it("names the first gaps, the unexplained ones first, and counts all", async () => {
    const claim = { count: 1n, sequences: [{ first: 2, last: 2, count: 1 }] };
    const records = [evidence(1), evidence(3), evidence(5), evidence(7), loss(8, claim), end(9)];
    const { streams } = await verifyRecords(records, { gapsShownMax: 2 });
    assert.deepEqual(
      [streams[0]?.gapCount, streams[0]?.gapsExplained, streams[0]?.gaps],
      [
        3,
        1,
        [
          { first: 4, last: 4, explained: 0 },
          { first: 6, last: 6, explained: 0 },
        ],
      ],
    );
  });
});
