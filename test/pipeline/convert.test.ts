/** v1 to files of OTLP and back; and the counts of what a file holds are exact. */
import assert from "node:assert/strict";
import { bootTimeOfThisHost } from "../../src/pipeline/base-resource.ts";
import { type ConvertOptions, convert } from "../../src/pipeline/convert.ts";
import { type ConvertV1Options, convertV1 } from "../../src/pipeline/convert-v1.ts";
import { lokiInput } from "../../src/pipeline/loki-input.ts";
import type { OtlpFileFormat } from "../../src/pipeline/otlp-file-outlet.ts";
import { fileInput } from "../../src/pipeline/stored-inputs.ts";
import { startFakeLoki } from "../convert/fake-loki.ts";
import {
  drawRecords,
  ndjson,
  numberedRecord,
  sameRecords,
  sameRecordsInAnyOrder,
  scratch,
} from "./evidence-files.ts";
import { writeMixedFile } from "./mixed-file.ts";

const encoding = { clock: "auto", bootTimeUnixNano: bootTimeOfThisHost(), streamId: "convert-test" } as const;
const input = (path: string) => fileInput({ path, sizeBytes: undefined }, "auto");

function toOtlp(path: string, to: OtlpFileFormat, output: string, more: Partial<ConvertV1Options> = {}) {
  return convertV1({
    inputs: [input(path)],
    to,
    encoding,
    output,
    report: (line) => assert.fail(line),
    ...more,
  });
}

function toV1(path: string, output: string, more: Partial<ConvertOptions> = {}) {
  const report = (line: string) => assert.fail(line);
  const options = { inputs: [input(path)], output, withExtensions: false, keepDuplicates: false, report };
  return convert({ ...options, ...more });
}

describe("convert", function () {
  this.timeout(120_000);
  const files = scratch();
  after(() => files.remove());

  it("to each format of OTLP and back gives the same records in the same order", async () => {
    const records = drawRecords(300);
    const evidence = files.write("evidence.ndjson", ndjson(records));
    const forms = [
      ["otlp-json", ""],
      ["otlp-json", ".zst"],
      ["otlp-proto", ""],
      ["otlp-proto", ".gz"],
    ] as const;
    for (const [to, suffix] of forms) {
      const stored = files.path(`stored.${to}${suffix}`);
      const { encoded, read, failure } = await toOtlp(evidence, to, stored);
      assert.deepEqual([encoded, read, failure], [300, 300, undefined]);
      const { written, duplicates, badMessages } = await toV1(stored, files.path("back.ndjson"));
      assert.deepEqual([written, duplicates, badMessages], [300, 0, 0]);
      sameRecords(files.read("back.ndjson"), records);
    }
  });

  it("drops no mended record as a duplicate when a file is sent again under its stream id", async () => {
    const records = Array.from({ length: 4 }, (_, index) => numberedRecord(index));
    const broken = ndjson(records).replace('"pid":1', '"pid":-1').replace('"path":"/file/2"', '"path":2');
    const again = { encoding: { ...encoding, streamId: "again", isSentAgain: true }, report: () => {} };
    const first = await toOtlp(files.write("file.ndjson", broken), "otlp-json", files.path("1.json"), again);
    assert.ok(first.encoded < 4 && first.invalid > 0);
    const mended = ndjson(records);
    await toOtlp(files.write("file.ndjson", mended), "otlp-json", files.path("2.json"), again);
    const both = ["1.json", "2.json"].map((name) => input(files.path(name)));
    const { written, duplicates } = await toV1("", files.path("back.ndjson"), { inputs: both });
    assert.deepEqual([written, duplicates], [4, first.encoded]);
    sameRecordsInAnyOrder(files.read("back.ndjson"), records);
  });

  it("writes requests of a size that a reader can hold, whatever their number", async () => {
    const records = Array.from({ length: 5000 }, (_, index) => numberedRecord(index));
    const evidence = files.write("evidence.ndjson", ndjson(records));
    await toOtlp(evidence, "otlp-json", files.path("stored.json"));
    const lines = files.read("stored.json").trimEnd().split("\n");
    assert.ok(lines.length > 3);
    for (const line of lines) assert.ok(line.length < 2 ** 20 && line.startsWith('{"resourceLogs":['));
  });

  it("counts evidence, log records of others and duplicates exactly", async () => {
    const expected = writeMixedFile(files.path("mixed.binpb"), 20_000);
    assert.equal(expected.duplicates, 200);
    const result = await toV1(files.path("mixed.binpb"), files.path("back.ndjson"));
    assert.deepEqual(
      [
        result.written,
        result.foreign,
        result.duplicates,
        result.invalid,
        result.badMessages,
        result.forgotten,
      ],
      [expected.evidence, expected.foreign, expected.duplicates, 0, 0, 0],
    );
    const records = Array.from({ length: 20_000 }, (_, index) => numberedRecord(index + 1));
    sameRecords(files.read("back.ndjson"), records);
    const all = await toV1(files.path("mixed.binpb"), "/dev/null", { keepDuplicates: true });
    assert.deepEqual([all.written, all.duplicates], [20_200, 0]);
  });

  it("drops duplicates over all inputs", async () => {
    const evidence = files.write("evidence.ndjson", ndjson([numberedRecord(1), numberedRecord(2)]));
    await toOtlp(evidence, "otlp-json", files.path("one.json"));
    await toOtlp(evidence, "otlp-proto", files.path("two.binpb"));
    const inputs = ["one.json", "two.binpb"].map((name) => input(files.path(name)));
    const result = await toV1("", files.path("back.ndjson"), { inputs });
    assert.deepEqual([result.written, result.duplicates], [2, 2]);
  });

  it("says what to do with v1 where stored log records belong, and goes on", async () => {
    const evidence = files.write("evidence.ndjson", ndjson([numberedRecord(1), numberedRecord(2)]));
    await toOtlp(evidence, "otlp-json", files.path("stored.json"));
    const lines: string[] = [];
    const inputs = [evidence, files.path("stored.json")].map(input);
    const result = await toV1("", files.path("back.ndjson"), { inputs, report: (line) => lines.push(line) });
    assert.equal(result.written, 2);
    assert.equal(result.failure?.code, "bad-input");
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /evidence\.ndjson:1: .*--to otlp-json/);
  });

  it("takes a file that is still written up to its last whole message", async () => {
    const evidence = files.write("evidence.ndjson", ndjson([numberedRecord(1), numberedRecord(2)]));
    await toOtlp(evidence, "otlp-json", files.path("stored.json"));
    const text = files.read("stored.json");
    const lines: string[] = [];
    const report = (line: string) => lines.push(line);
    const torn = files.write("torn.json", text + text.slice(0, 100));
    const result = await toV1(torn, files.path("back.ndjson"), { report });
    assert.deepEqual([result.written, result.partialTails, result.badMessages], [2, 1, 0]);
    assert.match(
      lines[0] ?? "",
      /torn\.json:2: the input ends within a message; its 100 bytes were left out/,
    );
  });

  it("reads a running Loki", async () => {
    const stream = (number: number) => ({
      runtime_evidence_event_type: "file_open",
      runtime_evidence_record_timestamp: String(1_000_000 + number),
      runtime_evidence_probe_name: "test",
      runtime_evidence_process_comm: "c",
      process_pid: "1",
      file_path: `/file/${number}`,
      log_record_uid: `loki-${number}`,
    });
    // Merged, as Loki answers who does not ask for categories.
    const result = [1, 2, 2, 3].map((number, index) => ({
      stream: stream(number),
      values: [[String(1000 + index), ""]],
    }));
    const loki = await startFakeLoki([], (_, response) => {
      response.end(JSON.stringify({ status: "success", data: { resultType: "streams", result } }));
      return true;
    });
    try {
      const source = lokiInput({ url: loki.url, query: "{}", startNs: 0n, endNs: 2000n });
      const result = await toV1("", files.path("back.ndjson"), { inputs: [source] });
      assert.deepEqual([result.written, result.duplicates, result.failure], [3, 1, undefined]);
      sameRecords(files.read("back.ndjson"), [1, 2, 3].map(numberedRecord));
    } finally {
      await loki.close();
    }
  });

  it("loses one entry of a stream of Loki where that one can't be read", async () => {
    const metadata = (number: number) => ({
      structuredMetadata: {
        runtime_evidence_event_type: "file_open",
        runtime_evidence_record_timestamp: String(1_000_000 + number),
        runtime_evidence_probe_name: "test",
        runtime_evidence_process_comm: "c",
        process_pid: "1",
        file_path: `/file/${number}`,
      },
    });
    const values = [1, 2, 3, 4].map((number) => [String(number), "", metadata(number)]);
    values[1] = ["2", { not: "text" }, metadata(2)] as never;
    values[3] = "no entry" as never;
    const answer = { status: "success", data: { resultType: "streams", result: [{ stream: {}, values }] } };
    const lines: string[] = [];
    const stored = files.write("loki.json", `${JSON.stringify(answer)}\n`);
    const report = (line: string) => void lines.push(line);
    const result = await toV1(stored, files.path("back.ndjson"), { report });
    assert.deepEqual([result.written, result.badMessages], [2, 2]);
    sameRecords(files.read("back.ndjson"), [1, 3].map(numberedRecord));
    assert.match(
      lines.join("\n"),
      /^\S+loki\.json:1: Loki: line must be text\n\S+:1: Loki: an item of values/,
    );
  });
});
