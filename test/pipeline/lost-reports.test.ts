/** What an earlier run had reported is not lost with its request. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { openDeadLetterFile } from "../../src/delivery/dead-letter-file.ts";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import type { Loss } from "../../src/health/loss-registry.ts";
import { eventSlots } from "../../src/otlp/attribute-slot.ts";
import { encodeLossRecord, type LossRecord } from "../../src/otlp/loss-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import type { ControlRecord } from "../../src/otlp/to-evidence.ts";
import { lostReports } from "../../src/pipeline/lost-reports.ts";
import { StreamVerifier } from "../../src/pipeline/stream-verifier.ts";
import { sealed } from "../delivery/sealed.ts";
import { SpoolScratch } from "../delivery/spool-scratch.ts";
import { ACCEPTED, answering, DOWN, listening, openOutlet, writeOpen } from "./outlets.ts";

const FIRST = "00000000000000aa";
const SECOND = "00000000000000bb";
const THIRD = "00000000000000cc";
const LOST: Loss = {
  reason: "ring_full",
  probe: "file_open",
  count: 5000n,
  firstTimeUnixNano: 1_000n,
  lastTimeUnixNano: 2_000n,
};
const REFUSED: SendOutcome = { kind: "permanent", reason: "http 400" };

const lossesIn = (said: readonly ControlRecord[]): LossRecord[] =>
  said.flatMap((record) => (record.event === "loss" ? [record.loss] : []));

describe("loss records of an earlier run that are lost themselves", () => {
  const spools = new SpoolScratch();
  afterEach(() => spools.remove());

  /** A spool with a stream that has lost something, said so, and ended, all undelivered. */
  async function leftBehind(opens = 3): Promise<string> {
    const directory = spools.directory();
    const found = [LOST];
    const outlet = await openOutlet(directory, {
      streamId: FIRST,
      sender: answering(() => DOWN),
      findLosses: () => found.splice(0),
    });
    for (let count = 0; count < opens; count++) writeOpen(outlet);
    await outlet.end(0);
    return directory;
  }

  function assertSaidAgain(said: readonly ControlRecord[], reason: string): void {
    const [ringFull, ...others] = lossesIn(said).filter(({ reason }) => reason === "ring_full");
    assert.deepEqual(others, [], "said once");
    assert.ok(ringFull !== undefined, "the loss has vanished");
    const { streamId, probe, count, firstTimeUnixNano, lastTimeUnixNano } = ringFull;
    assert.deepEqual({ reason: "ring_full", probe, count, firstTimeUnixNano, lastTimeUnixNano }, LOST);
    assert.equal(streamId, FIRST);
    const verifier = new StreamVerifier();
    for (const record of said) verifier.take(record);
    const first = verifier.reports(10).find((report) => report.streamId === FIRST);
    assert.equal(first?.state, "ended", "how it ended is said again, too");
    assert.deepEqual(first.unnumbered, [{ reason: "ring_full", probe: "file_open", count: 5000n }]);
    assert.deepEqual([first.unexplained, [...first.explained.keys()]], [0, [reason]]);
  }

  for (const [reason, outcome] of [
    ["refused", REFUSED],
    ["too_large", { kind: "too-large", reason: "http 413" }],
    ["rejected", { kind: "accepted", rejectedRecords: 1000, message: "no" }],
  ] as const) {
    it(`are said again by the run that finds them ${reason}`, async () => {
      const directory = await leftBehind();
      const { sender, said } = listening(({ streamId }) => (streamId === FIRST ? outcome : ACCEPTED));
      const outlet = await openOutlet(directory, { streamId: SECOND, sender, lossIntervalMs: 1 });
      await outlet.end(10_000);
      assertSaidAgain(said, reason);
      assert.deepEqual(readdirSync(directory), []);
      assert.equal(outlet.lossesPending, 0);
    });
  }

  it("are said again, and again, where the collector refuses those, too, and by the next run at last", async () => {
    const directory = await leftBehind();
    const refusing = await openOutlet(directory, { streamId: SECOND, sender: answering(() => REFUSED) });
    await refusing.end(10_000);
    const { sender, said } = listening(({ streamId }) => (streamId === THIRD ? ACCEPTED : REFUSED));
    const last = await openOutlet(directory, { streamId: THIRD, sender });
    await last.end(10_000);
    assertSaidAgain(said, "refused");
    assert.deepEqual(readdirSync(directory), []);
  });

  it("are said again when their request makes room for a newer one", async () => {
    const directory = await leftBehind();
    const bytesMax = 3000;
    const outlet = await openOutlet(directory, {
      streamId: SECOND,
      sender: answering(() => DOWN),
      queue: { spool: { directory, fsync: "never", bytesMax }, whenFull: "drop-oldest" },
      requestsInFlight: 1,
    });
    for (let count = 0; count < 5; count++) {
      await outlet.opened.queue.offer({
        ...sealed(1000),
        streamId: "dd",
        firstSequence: count + 1,
        lastSequence: count + 1,
      });
    }
    await outlet.end(0);
    const { sender, said } = listening();
    const last = await openOutlet(directory, { streamId: THIRD, sender });
    await last.end(10_000);
    assertSaidAgain(said, "queue_full");
  });

  it("are only those that were lost, where a request was cut", async () => {
    const directory = await leftBehind();
    const { sender, said } = listening(({ streamId, recordCount, body }) => {
      if (streamId === SECOND) return ACCEPTED;
      if (recordCount > 1) return { kind: "too-large", reason: "http 413" };
      return body.includes("runtime_evidence.loss ") ? ACCEPTED : REFUSED;
    });
    const outlet = await openOutlet(directory, { streamId: SECOND, sender });
    await outlet.end(10_000);
    assertSaidAgain(said, "refused");
  });

  it("stand in the dead letter, too", async () => {
    const directory = await leftBehind();
    const path = `${directory}.dead`;
    const deadLetter = await openDeadLetterFile({ path, onTrouble: assert.fail });
    const outlet = await openOutlet(directory, {
      streamId: SECOND,
      sender: answering(() => REFUSED),
      deadLetter,
    });
    await outlet.end(10_000);
    assert.ok(outlet.counters().recordsDeadLettered >= 6);
  });

  it("are not seen in evidence that has their name in it, nor in what is no request", () => {
    const builder = new RequestBuilder();
    const resource = createResourceSource({ "service.name": "test" }).resourceFor(undefined, undefined);
    const writer = builder.use(resource);
    writer.begin("file_open", 1, 2, 3, 4, 9);
    writer.text(eventSlots.file_open.path, "/runtime_evidence.loss runtime_evidence.stream");
    writer.uid(FIRST, 1);
    writer.end();
    const context = { resource, streamId: FIRST, sequence: 2, observedTimeUnixNano: 1n };
    const loss = { ...LOST, count: 5000n, streamId: FIRST, lossId: 1, sequences: [] };
    encodeLossRecord(builder, loss, context);
    const { body } = builder.seal();
    assert.deepEqual(lossesIn(lostReports(body, undefined)), [loss]);
    assert.deepEqual(lostReports(body, [{ first: 1, last: 1 }]), []);
    assert.deepEqual(lostReports(Buffer.from("runtime_evidence.loss"), undefined), []);
  });
});
