/** The exit code of verify is its verdict, and its last line says it to people. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { runCli } from "../kernel/live.ts";
import { encodeSent, type SentRecord } from "../pipeline/stream-model.ts";

const STREAM = "8c1f0aa37be25d94";

function evidence(first: number, last: number): SentRecord[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({
    kind: "evidence",
    streamId: STREAM,
    sequence: first + index,
    type: "file_open",
  }));
}

const end = (sequence: number): SentRecord => ({
  kind: "stream",
  streamId: STREAM,
  sequence,
  stream: { streamId: STREAM, state: "end", lastSequence: sequence, counts: [], timeUnixNano: 1n },
});

const queueFull = (sequence: number, first: number, last: number): SentRecord => ({
  kind: "loss",
  streamId: STREAM,
  sequence,
  loss: {
    streamId: STREAM,
    lossId: 1,
    reason: "queue_full",
    probe: "file_open",
    count: BigInt(last - first + 1),
    firstTimeUnixNano: 1n,
    lastTimeUnixNano: 2n,
    sequences: [{ first, last, count: last - first + 1 }],
  },
});

describe("verify on the command line", function () {
  this.timeout(60_000);
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-cli-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  const verify = async (records: readonly SentRecord[], ...options: string[]) => {
    const builder = new RequestBuilder();
    for (const record of records) encodeSent(builder, record);
    const path = join(directory, "logs.json");
    writeFileSync(path, `${requestToJson(builder.seal().body)}\n`);
    const { code, stdout } = await runCli(["verify", path, ...options]);
    return { code, stdout, verdict: stdout.trimEnd().split("\n").at(-1) };
  };

  it("exits with 0 and says what is complete", async () => {
    const { code, verdict } = await verify([...evidence(1, 1500), ...evidence(3, 4), end(1501)]);
    assert.equal(verdict, "complete: 1,500 records in 1 stream, 2 duplicates");
    assert.equal(code, 0);
  });

  it("exits with 9 when loss records explain everything", async () => {
    const { code, verdict } = await verify([...evidence(1, 10), queueFull(21, 11, 20), end(22)]);
    assert.equal(
      verdict,
      "accounted for: 10 records in 1 stream, 10 lost (10 queue_full), all of it reported",
    );
    assert.equal(code, 9);
  });

  it("exits with 8 when a stream has no end", async () => {
    const { code, verdict } = await verify(evidence(1, 10));
    assert.equal(verdict, `unended: 10 records in 1 stream, stream ${STREAM} has no end`);
    assert.equal(code, 8);
  });

  it("exits with 7 when something is missing that nothing explains, and names it", async () => {
    const records = [...evidence(1, 10), ...evidence(31, 40), queueFull(41, 11, 20), end(43)];
    const { code, stdout } = await verify(records);
    assert.equal(
      stdout,
      `stream ${STREAM}: 20 records, 2 gaps (21 records), 0 explained (10 queue_full), 11 unexplained, ended\n` +
        "  gap: 11-30 (20), 10 explained\n" +
        "  gap: 42 (1), 0 explained\n" +
        `incomplete: stream ${STREAM}: 2 gaps (21 records), 0 explained (10 queue_full), 11 unexplained\n`,
    );
    assert.equal(code, 7);
  });

  it("gives programs the same as JSON", async () => {
    const { code, stdout } = await verify([...evidence(1, 4), end(6)], "--json");
    const { verdict, summary, streams } = JSON.parse(stdout);
    assert.equal(code, 7);
    assert.equal(verdict, "incomplete");
    assert.match(summary, /^incomplete: stream/);
    assert.deepEqual(streams[0].gaps, [{ first: 5, last: 5, explained: 0 }]);
    assert.deepEqual(
      [streams[0].records, streams[0].control, streams[0].state, streams[0].recordsByType],
      [4, 1, "ended", { file_open: 4 }],
    );
  });

  it("exits with 3 when there is nothing to verify, with 2 for no input, with 4 for no file", async () => {
    assert.equal((await runCli(["verify", "-"], '{"resourceLogs":[]}\n')).code, 3);
    const v1 = '{"ts_ns":1,"src":"x","pid":1,"comm":"c","event":{"type":"file_open","path":"/a"}}\n';
    assert.equal((await runCli(["verify", "-"], v1)).code, 3);
    assert.equal((await runCli(["verify"])).code, 2);
    assert.equal((await runCli(["verify", join(directory, "none")])).code, 4);
  });
});
