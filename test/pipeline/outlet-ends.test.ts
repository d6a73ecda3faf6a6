import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Ledger } from "../../src/health/ledger.ts";
import type { OtlpOutlet, OtlpOutletOptions } from "../../src/pipeline/otlp-outlet.ts";
import { sealed } from "../delivery/sealed.ts";
import { SpoolScratch } from "../delivery/spool-scratch.ts";
import { ACCEPTED, answering, DOWN, listening, openOutlet, writeOpen } from "./outlets.ts";

const EARLIER = "00000000000000aa";
const OWN = "00000000000000bb";

describe("the end of an outlet", () => {
  const spools = new SpoolScratch();
  afterEach(() => spools.remove());

  const open = (directory: string | undefined, options: Partial<OtlpOutletOptions>): Promise<OtlpOutlet> =>
    openOutlet(directory, { streamId: OWN, ...options });

  /** A spool that an exporter has left in the middle of its stream, with one request. */
  async function leftBehind(): Promise<string> {
    const directory = spools.directory();
    const queue = await spools.open({ directory });
    await queue.beginStream(EARLIER);
    await queue.offer({ ...sealed(1000), streamId: EARLIER, firstSequence: 1, lastSequence: 1 });
    await spools.end();
    return directory;
  }

  it("is not that of an earlier stream, as long as nobody could be told that it never ended", async () => {
    const directory = await leftBehind();
    const spool = { directory, fsync: "never" as const, bytesMax: 1100 };
    const sender = answering(() => DOWN);
    const full = await open(directory, { sender, queue: { spool, whenFull: "drop-newest" } });
    await full.end(0);
    assert.ok(
      existsSync(join(directory, `${EARLIER}.stream`)),
      "the note was dropped: it has to be said again",
    );
    const next = await open(directory, { streamId: "00000000000000cc" });
    await next.end(10_000);
    assert.deepEqual(readdirSync(directory), []);
  });

  it("is kept with a full spool, and with it what was lost because it was full", async () => {
    const directory = await leftBehind();
    const spool = { directory, fsync: "never" as const, bytesMax: 1100 };
    const books = new Ledger(["file_open"]);
    const full = await open(directory, { sender: answering(() => DOWN), queue: { spool }, books });
    for (let count = 0; count < 3; count++) writeOpen(full);
    full.abort();
    await full.end(0);
    assert.equal(books.balances()[0]?.lost.get("undelivered"), 3n);
    assert.equal(existsSync(join(directory, `${OWN}.stream`)), false);

    const { sender, said } = listening();
    const next = await open(directory, { streamId: "00000000000000cc", sender });
    await next.end(10_000);
    const losses = said.flatMap((record) => (record.event === "loss" ? [record.loss] : []));
    const opens = losses.find(({ probe }) => probe === "file_open");
    assert.deepEqual([opens?.reason, opens?.count, opens?.streamId], ["undelivered", 3n, OWN]);
    const states = said.flatMap((record) => (record.event === "stream" ? [record.stream] : []));
    assert.deepEqual(
      states.filter(({ streamId }) => streamId === OWN).map(({ state }) => state),
      ["end"],
    );
    assert.deepEqual(readdirSync(directory), []);
  });

  it("comes soon after an abort, with a full spool", async () => {
    const directory = await leftBehind();
    const spool = { directory, fsync: "never" as const, bytesMax: 1100 };
    const outlet = await open(directory, { sender: answering(() => DOWN), queue: { spool } });
    const ready = outlet.ready();
    setTimeout(() => outlet.abort(), 100);
    const startedMs = performance.now();
    await ready;
    await outlet.end(60_000);
    assert.ok(performance.now() - startedMs < 8000);
    assert.ok(existsSync(join(directory, `${EARLIER}.stream`)));
  });

  it("comes soon when it is aborted after it has begun, and everything but the last word is delivered", async () => {
    let answers = 0;
    const sender = answering(() => (answers++ === 0 ? ACCEPTED : DOWN));
    const directory = spools.directory();
    const outlet = await open(directory, { sender });
    const startedMs = performance.now();
    setTimeout(() => outlet.abort(), 300);
    await outlet.end(60_000);
    assert.ok(performance.now() - startedMs < 8000);
    assert.deepEqual(readdirSync(directory), ["0000000000000002.request"]);
  });

  it("needs no mark of a stream that does not say its course, whatever its id", async () => {
    const directory = spools.directory();
    const outlet = await open(directory, { streamId: "not-hexadecimal", saysItsCourse: false });
    await outlet.end(10_000);
    assert.deepEqual(readdirSync(directory), []);
  });

  it("comes when the stream can't begin: nothing runs on", async () => {
    const directory = spools.directory();
    await assert.rejects(open(directory, { streamId: "not-hexadecimal" }), /1 to 64 hexadecimal digits/);
    const again = await spools.open({ directory });
    assert.equal(again.recovered.unendedStreams.length, 0);
  });
});
