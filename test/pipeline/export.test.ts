/** v1 records reach a collector and come back equal; whatever happens on the way, the books balance. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import type { DeliveryTuning } from "../../src/pipeline/delivery-tuning.ts";
import {
  type ExportBooks,
  type ExportOptions,
  type ExportResult,
  type RunningExport,
  startExport,
} from "../../src/pipeline/export.ts";
import { fileInput } from "../../src/pipeline/stored-inputs.ts";
import { closedPort, grpcServer, httpServer, optionsFor } from "../delivery/servers.ts";
import { until } from "../process.ts";
import {
  drawRecords,
  FORMS,
  ndjson,
  numberedRecord,
  receiveInto,
  sameRecords,
  scratch,
} from "./evidence-files.ts";

const BOOT = 1_737_800_000_000_000_000n;
const TWO_MINUTES_MS = 120_000;

type Options = Omit<Partial<ExportOptions>, "delivery"> & Partial<DeliveryTuning> & { lines?: string[] };

function start(paths: readonly string[], protocol: OtlpProtocol, port: number, more: Options = {}) {
  const { lines = [], queue = {}, batchBytesMax, requestsInFlight, ...options } = more;
  return startExport({
    inputs: paths.map((path) => fileInput({ path, sizeBytes: undefined }, "auto")),
    otlp: optionsFor(protocol, port, { batchAgeMaxMs: 20 }),
    encoding: { clock: "auto", bootTimeUnixNano: BOOT, streamId: "export-test" },
    delivery: { queue, batchBytesMax, requestsInFlight },
    report: (line) => lines.push(line),
    ...options,
  });
}

function lostTotal({ lost }: ExportBooks): number {
  return [...lost.values()].reduce((sum, count) => sum + count, 0);
}

async function ended(running: RunningExport): Promise<ExportResult> {
  const timeout = delay(TWO_MINUTES_MS, undefined, { ref: false }).then(() => assert.fail("it does not end"));
  const result = await Promise.race([running.result, timeout]);
  const { books } = result;
  assert.equal(books.read, books.exported + books.invalid + books.refused + lostTotal(books), "balance");
  return result;
}

const portOf = (address: string | undefined) => Number(address?.split(":").at(-1));

describe("export", function () {
  this.timeout(TWO_MINUTES_MS);
  const files = scratch();
  after(() => files.remove());

  it("gives back each record that the schema allows, from every form and over every protocol", async () => {
    const records = drawRecords(1000);
    const protocols: OtlpProtocol[] = ["grpc", "http/protobuf", "http/json"];
    const size = records.length / Object.keys(FORMS).length;
    for (const [index, [name, form]] of Object.entries(FORMS).entries()) {
      const part = records.slice(index * size, (index + 1) * size);
      const receive = await receiveInto(files.path("received.ndjson"));
      const protocol = protocols[index % protocols.length] as OtlpProtocol;
      const port = portOf(protocol === "grpc" ? receive.grpcAddress : receive.httpAddress);
      const input = files.write(name, form(part));
      const running = await start([input], protocol, port, { requestsInFlight: 1 });
      const { books, failure } = await ended(running);
      await receive.close();
      assert.equal(failure, undefined);
      assert.deepEqual(
        { ...books, lost: lostTotal(books) },
        { read: size, exported: size, spooled: 0, invalid: 0, refused: 0, lost: 0 },
      );
      sameRecords(files.read("received.ndjson"), part);
    }
  });

  it("keeps large records out of requests that they don't fit into", async () => {
    const record = (bytes: number): EvidenceRecord => ({ ...numberedRecord(bytes), src: "x".repeat(bytes) });
    const records = [
      record(100),
      record(60_000),
      record(100_000),
      record(5),
      record(300_000),
      record(70_000),
    ];
    const sizes: number[] = [];
    const server = await httpServer((request, response) => {
      sizes.push(Number(request.headers["content-length"]));
      request.resume().on("end", () => response.end());
    });
    const input = files.write("large.ndjson", ndjson(records));
    const bytesMax = 200 * 1024;
    const { books } = await ended(
      await start([input], "http/protobuf", server.port, { batchBytesMax: bytesMax }),
    );
    await server.close();
    assert.equal(books.exported, records.length);
    assert.equal(
      sizes.filter((size) => size > bytesMax).length,
      1,
      `${sizes}: one record is larger than a request`,
    );
  });

  it("names each record that is not valid, keeps it, and sends the rest", async () => {
    const good = ndjson([numberedRecord(1)]).trim();
    const texts = [good, "{", good.replace('"pid":1', '"pid":0'), "", "[]", good.replace("/file/1", "/\xff")];
    const content = Buffer.from(`${texts.join("\n")}\n`, "latin1");
    const array = `[${good},\n {"a":\n1},\n${good}]`;
    const receive = await receiveInto(files.path("received.ndjson"), { keepDuplicates: true });
    const lines: string[] = [];
    const inputs = [files.write("mixed.ndjson", content), files.write("mixed.json", array)];
    const running = await start(inputs, "grpc", portOf(receive.grpcAddress), {
      lines,
      rejects: files.path("rejects"),
    });
    const { books, failure } = await ended(running);
    await receive.close();
    assert.equal(failure, undefined);
    assert.deepEqual([books.read, books.exported, books.invalid], [8, 3, 5]);
    assert.deepEqual(
      lines.map((line) => line.slice(files.path("").length + 1).split(" ")[0]),
      ["mixed.ndjson:2:", "mixed.ndjson:3:", "mixed.ndjson:5:", "mixed.ndjson:6:", "mixed.json:2:"],
    );
    assert.match(lines[1] ?? "", /\/pid must be >= 1/);
    assert.match(lines[3] ?? "", /not UTF-8/);
    const rejects = files.read("rejects").trimEnd().split("\n");
    assert.deepEqual(rejects.slice(0, 3), [texts[1], texts[2], texts[4]]);
    assert.equal(rejects.at(-1), '{"a": 1}', "one line each");
  });

  it("goes on behind an input that is missing, and behind one of stored log records", async () => {
    const receive = await receiveInto(files.path("received.ndjson"));
    const lines: string[] = [];
    const inputs = [
      files.path("missing"),
      files.write("otlp.json", '{"resourceLogs":[]}\n'.repeat(3)),
      files.write("one.ndjson", ndjson([numberedRecord(1)])),
    ];
    const { books, failure } = await ended(
      await start(inputs, "grpc", portOf(receive.grpcAddress), { lines }),
    );
    await receive.close();
    assert.equal(books.exported, 1);
    assert.equal(failure?.code, "not-found");
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /otlp\.json:1: .*"runtime-evidence convert"/);
  });

  it("leaves out what Loki would refuse, names it and keeps it", async () => {
    const stack = (frames: number): EvidenceRecord => {
      const event = {
        type: "function_call",
        addr: "0x1",
        stack: new Array<string>(frames).fill("0x".padEnd(98, "f")),
      } as const;
      return { ...numberedRecord(frames), event };
    };
    const records = [stack(10), stack(600), stack(1000), numberedRecord(1)];
    const input = files.write("stacks.ndjson", ndjson(records));
    for (const limits of [undefined, "loki"] as const) {
      const receive = await receiveInto(files.path("received.ndjson"));
      const lines: string[] = [];
      const encoding = { clock: "auto", bootTimeUnixNano: BOOT, streamId: "s", limits } as const;
      const options = { lines, encoding, rejects: files.path("rejects") };
      const { books } = await ended(await start([input], "grpc", portOf(receive.grpcAddress), options));
      await receive.close();
      assert.deepEqual([books.exported, books.refused], limits === undefined ? [4, 0] : [3, 1]);
      if (limits === undefined) continue;
      assert.match(lines[0] ?? "", /stacks\.ndjson:3: Loki takes a structured metadata of 65536 bytes/);
      sameRecords(files.read("rejects"), [records[2] as EvidenceRecord]);
    }
  });

  it("books what a collector refuses, by what it said", async () => {
    const records = Array.from({ length: 100 }, (_, index) => numberedRecord(index));
    const input = files.write("hundred.ndjson", ndjson(records));
    const refusing = await httpServer((request, response) => {
      request.resume().on("end", () => response.writeHead(400).end());
    });
    const refused = await ended(await start([input], "http/protobuf", refusing.port));
    await refusing.close();
    assert.deepEqual([...refused.books.lost], [["refused", 100]]);
    // ExportLogsServiceResponse.partial_success.rejected_log_records = 30.
    const rejecting = await grpcServer((_, respond) => respond(null, Buffer.from([0x0a, 0x02, 0x08, 30])));
    const rejected = await ended(await start([input], "grpc", rejecting.port));
    await rejecting.close();
    assert.equal(rejected.books.exported, 70);
    assert.deepEqual([...rejected.books.lost], [["rejected", 30]]);
  });

  it("waits for a collector that is away, and loses nothing", async () => {
    const records = Array.from({ length: 3000 }, (_, index) => numberedRecord(index));
    const input = files.write("waiting.ndjson", ndjson(records));
    let answering = false;
    let taken = 0;
    const server = await httpServer((request, response) => {
      request.resume().on("end", () => {
        if (answering) taken++;
        response.writeHead(answering ? 200 : 503).end();
      });
    });
    const lines: string[] = [];
    // Far less than all of it: reading waits, too.
    const limits = { queueBytesMax: 64 * 1024, batchBytesMax: 96 * 1024 };
    const running = await start([input], "http/protobuf", server.port, { lines, ...limits });
    await until(
      () => running.queuedRecords() > 0 && /http 503.*stay queued/.test(lines.join("\n")),
      () => lines.join("\n"),
    );
    answering = true;
    const { books, stopped } = await ended(running);
    await server.close();
    assert.deepEqual([books.read, books.exported, stopped], [3000, 3000, false]);
    assert.ok(taken > 3);
  });

  it("stopped, it delivers what it has read within its time, and says what it did not", async () => {
    const records = Array.from({ length: 20_000 }, (_, index) => numberedRecord(index));
    const input = files.write("stopped.ndjson", ndjson(records));
    const port = await closedPort();
    const limits = { queueBytesMax: 64 * 1024, batchBytesMax: 96 * 1024, shutdownTimeoutMs: 300 };
    const running = await start([input, input], "grpc", port, limits);
    await until(
      () => running.queuedRecords() > 0,
      () => "a record in the queue",
    );
    const startedMs = performance.now();
    running.stop();
    const { books, stopped } = await ended(running);
    assert.ok(performance.now() - startedMs < 5000);
    assert.equal(stopped, true);
    assert.ok(books.read > 0 && books.read < 40_000, `${books.read} read`);
    assert.deepEqual([...books.lost], [["undelivered", books.read]]);
  });
});
