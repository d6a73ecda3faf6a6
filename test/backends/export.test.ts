/** v1 records from a file to the real Collector and the real Loki, and back to v1 from what these have stored. */
import assert from "node:assert/strict";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { type ConvertResult, convert } from "../../src/pipeline/convert.ts";
import { startExport } from "../../src/pipeline/export.ts";
import { lokiInput } from "../../src/pipeline/loki-input.ts";
import type { EncodingOptions } from "../../src/pipeline/record-encoder.ts";
import { fileInput, type StoredInput } from "../../src/pipeline/stored-inputs.ts";
import { drawRecords, FORMS, ndjson, sameRecordsInAnyOrder, scratch } from "../pipeline/evidence-files.ts";
import { skip } from "../skip.ts";
import { collectorMissing, startCollector } from "./collector.ts";
import { lokiMissing, startLoki } from "./loki.ts";

const RECORDS_TO_FILES = 1000;
const RECORDS_TO_LOKI = 300;
const BOOT_TIME = 1_737_800_000_000_000_000n;
/** Loki takes entries of a stream that are up to an hour older than the newest. */
const UPTIME_NS = 1_000_000_000_000n;

describe("export", function () {
  this.timeout(90_000);
  const files = scratch();
  after(() => files.remove());

  const send = async (
    path: string,
    endpoint: string,
    encoding: Partial<EncodingOptions>,
    report: (line: string) => void,
  ) => {
    const running = await startExport({
      inputs: [fileInput({ path, sizeBytes: undefined }, "auto")],
      otlp: readOtlpOptions({}, { endpoint }).options,
      encoding: { clock: "auto", bootTimeUnixNano: BOOT_TIME, streamId: "backends", ...encoding },
      delivery: { queue: {}, batchBytesMax: 512 * 1024 },
      rejects: files.path("rejects.ndjson"),
      report,
    });
    return (await running.result).books;
  };
  const readBack = (input: StoredInput, report: (line: string) => void): Promise<ConvertResult> => {
    const output = files.path("back.ndjson");
    return convert({ inputs: [input], output, withExtensions: false, keepDuplicates: false, report });
  };

  it("to the real Collector gives the same records back from both of its files", async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    const records = drawRecords(RECORDS_TO_FILES);
    const form = FORMS["lines.ndjson.gz"] ?? assert.fail();
    const collector = await startCollector({ config: "file" });
    try {
      const path = files.write("evidence.ndjson.gz", form(records));
      const { read, exported } = await send(path, collector.httpEndpoint, {}, assert.fail);
      assert.deepEqual([read, exported], [RECORDS_TO_FILES, RECORDS_TO_FILES]);
      assert.deepEqual(await collector.stop(), { code: 0, signal: null });
      for (const stored of [collector.jsonPath, collector.protoPath]) {
        const input = fileInput({ path: stored, sizeBytes: undefined }, "auto");
        const { written, duplicates } = await readBack(input, assert.fail);
        assert.deepEqual([written, duplicates], [RECORDS_TO_FILES, 0]);
        sameRecordsInAnyOrder(files.read("back.ndjson"), records);
      }
    } finally {
      await collector.remove();
    }
  });

  it("to the real Loki gives back all that it takes, and names and keeps the rest", async function () {
    const missing = lokiMissing();
    if (missing !== undefined) skip(this, missing);
    const stack = new Array<string>(1000).fill("0x".padEnd(98, "f"));
    const tooLarge = { type: "function_call", addr: "0x1", stack } as const;
    const records: EvidenceRecord[] = drawRecords(RECORDS_TO_LOKI).map((record) => {
      const exact = BigInt(record.ts_ns);
      // Times of one uptime; those beyond int64 are unknown to a store.
      return exact < 2n ** 63n ? { ...record, ts_ns: Number(exact % UPTIME_NS) } : record;
    });
    records.push({ ts_ns: 1, src: "s", pid: 1, comm: "c", event: tooLarge });
    const loki = await startLoki();
    try {
      const path = files.write("evidence.ndjson", ndjson(records));
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      const encoding = { clock: "boot", bootTimeUnixNano: nowNs - UPTIME_NS, limits: "loki" } as const;
      const lines: string[] = [];
      const books = await send(path, loki.otlpEndpoint, encoding, (line) => lines.push(line));
      assert.equal(books.lost.size, 0, lines.join("\n"));
      assert.ok(books.refused >= 1 && books.exported + books.refused === records.length);
      assert.equal(lines.length, books.refused);
      const [startNs, endNs] = [nowNs - 2n * UPTIME_NS, nowNs + UPTIME_NS];
      const query = '{service_name="runtime-evidence"}';
      const report = (line: string) => lines.push(line);
      const { written } = await readBack(lokiInput({ url: loki.url, query, startNs, endNs, report }), report);
      assert.equal(written, books.exported, lines.join("\n"));
      sameRecordsInAnyOrder(files.read("back.ndjson") + files.read("rejects.ndjson"), records);
    } finally {
      await loki.remove();
    }
  });
});
