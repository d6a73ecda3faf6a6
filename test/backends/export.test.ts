/** v1 records from a file to the real Collector, into its files, and back to v1. */
import assert from "node:assert/strict";
import { convert } from "../../src/pipeline/convert.ts";
import { startExport } from "../../src/pipeline/export.ts";
import { fileInput } from "../../src/pipeline/stored-inputs.ts";
import { optionsFor } from "../delivery/servers.ts";
import { drawRecords, FORMS, sameRecordsInAnyOrder, scratch } from "../pipeline/evidence-files.ts";
import { skip } from "../skip.ts";
import { collectorMissing, startCollector } from "./collector.ts";

const RECORDS = 1000;

describe("export to the real Collector", function () {
  this.timeout(60_000);
  const files = scratch();
  before(function () {
    const reason = collectorMissing();
    if (reason !== undefined) skip(this, reason);
  });
  after(() => files.remove());

  it("gives the same records back from both of its files", async () => {
    const records = drawRecords(RECORDS);
    const form = FORMS["lines.ndjson.gz"] ?? assert.fail();
    const input = fileInput(
      { path: files.write("evidence.ndjson.gz", form(records)), sizeBytes: undefined },
      "auto",
    );
    const collector = await startCollector({ config: "file" });
    try {
      const port = Number(new URL(collector.grpcEndpoint).port);
      const running = await startExport({
        inputs: [input],
        otlp: optionsFor("grpc", port, { timeoutMs: 10_000 }),
        encoding: { clock: "auto", bootTimeUnixNano: 1_737_800_000_000_000_000n, streamId: "collector" },
        delivery: { queue: {}, batchBytesMax: 512 * 1024 },
        report: assert.fail,
      });
      const { books } = await running.result;
      assert.deepEqual([books.read, books.exported], [RECORDS, RECORDS]);
      assert.deepEqual(await collector.stop(), { code: 0, signal: null });
      for (const path of [collector.jsonPath, collector.protoPath]) {
        const { written, duplicates } = await convert({
          inputs: [fileInput({ path, sizeBytes: undefined }, "auto")],
          output: files.path("back.ndjson"),
          withExtensions: false,
          keepDuplicates: false,
          report: assert.fail,
        });
        assert.deepEqual([written, duplicates], [RECORDS, 0]);
        sameRecordsInAnyOrder(files.read("back.ndjson"), records);
      }
    } finally {
      await collector.remove();
    }
  });
});
