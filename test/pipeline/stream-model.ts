/**
 * Random streams as a collector may have stored them, and a plain model of what can be said of them: sets of
 * numbers instead of ranges.
 */
import fc from "fast-check";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { encodeLossRecord, type LossRecord } from "../../src/otlp/loss-record.ts";
import type { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { encodeStreamRecord, type StreamRecord } from "../../src/otlp/stream-record.ts";

/** One log record as it was sent; copies are the same object. */
export type SentRecord = { readonly streamId: string; readonly sequence: number } & (
  | { readonly kind: "evidence"; readonly type: "file_open" | "process_exec" }
  | { readonly kind: "loss"; readonly loss: LossRecord }
  | { readonly kind: "stream"; readonly stream: StreamRecord }
);

const resources = createResourceSource({ "service.name": "verify-test" });

/** Encodes a record as the exporter does. */
export function encodeSent(builder: RequestBuilder, record: SentRecord): void {
  const { streamId, sequence } = record;
  const context = {
    resource: resources.resourceFor(undefined, undefined),
    observedTimeUnixNano: 1n,
    streamId,
    sequence,
  };
  if (record.kind === "loss") {
    encodeLossRecord(builder, record.loss, context);
    return;
  }
  if (record.kind === "stream") {
    encodeStreamRecord(builder, record.stream, context);
    return;
  }
  const event =
    record.type === "file_open"
      ? { type: record.type, path: `/${sequence}` }
      : { type: record.type, filename: `/${sequence}` };
  encodeRecord(
    builder,
    { ts_ns: 1, src: "x", pid: 1, comm: "c", event },
    { resources, timeUnixNano: 1n, observedTimeUnixNano: 1n, streamId, sequence },
  );
}

/** Where a number of the stream went: how many copies arrived, and which loss record claims it, if none did. */
interface Fate {
  readonly copies: number;
  readonly type: "file_open" | "process_exec";
  readonly claim: number;
}

interface StreamPlan {
  readonly streamId: string;
  /** Numbers before this were all lost, and are claimed: so that numbers are large. */
  readonly base: number;
  readonly fates: readonly Fate[];
  /** Copies of each control record, in the order base claim, claims, unnumbered, end. */
  readonly controlCopies: readonly number[];
  readonly unnumbered: bigint;
  readonly ends: boolean;
  /** The loss records are sent a second time, with numbers of their own. */
  readonly reportsAgain: boolean;
}

const CLAIMS = 3;

const planOf = (streamId: string): fc.Arbitrary<StreamPlan> =>
  fc.record({
    streamId: fc.constant(streamId),
    base: fc.constantFrom(1, 1, 2 ** 32 - 5, 2 ** 32, 2 ** 50),
    fates: fc.array(
      fc.record({
        copies: fc.constantFrom(0, 0, 1, 1, 1, 1, 2, 3),
        type: fc.constantFrom("file_open" as const, "process_exec" as const),
        // The last number stands for none.
        claim: fc.nat({ max: CLAIMS }),
      }),
      { maxLength: 40 },
    ),
    controlCopies: fc.array(fc.constantFrom(0, 1, 1, 1, 2), {
      minLength: 2 * (CLAIMS + 2) + 1,
      maxLength: 2 * (CLAIMS + 2) + 1,
    }),
    unnumbered: fc.bigInt({ min: 0n, max: 2n ** 62n }),
    ends: fc.boolean(),
    reportsAgain: fc.boolean(),
  });

/** All copies that a plan sends, in order. */
function copiesOf(plan: StreamPlan): SentRecord[] {
  const { streamId, base, fates } = plan;
  const copies: SentRecord[] = fates.flatMap(({ copies: count, type }, index) =>
    Array.from(
      { length: count },
      () => ({ kind: "evidence", streamId, sequence: base + index, type }) as const,
    ),
  );
  const losses = lossesOf(plan);
  let sequence = base + fates.length;
  const controls: SentRecord[] = [];
  for (const loss of plan.reportsAgain ? [...losses, ...losses] : losses) {
    controls.push({ kind: "loss", streamId, sequence: sequence++, loss });
  }
  if (plan.ends) {
    const stream: StreamRecord = {
      streamId,
      state: "end",
      lastSequence: sequence,
      counts: [],
      timeUnixNano: 1n,
    };
    controls.push({ kind: "stream", streamId, sequence, stream });
  }
  for (const [index, record] of controls.entries()) {
    for (let copy = plan.controlCopies[index] ?? 1; copy > 0; copy--) copies.push(record);
  }
  return copies;
}

function lossesOf({ streamId, base, fates, unnumbered }: StreamPlan): LossRecord[] {
  const common = { streamId, probe: "file_open", firstTimeUnixNano: 1n, lastTimeUnixNano: 2n };
  const losses: Omit<LossRecord, "lossId">[] = [];
  if (base > 1) {
    const count = base - 1;
    const sequences = [{ first: 1, last: count, count }];
    losses.push({ ...common, reason: "queue_full", count: BigInt(count), sequences });
  }
  for (let claim = 0; claim < CLAIMS; claim++) {
    const numbers = fates.flatMap((fate, index) =>
      fate.copies === 0 && fate.claim === claim ? [base + index] : [],
    );
    if (numbers.length === 0) continue;
    // As wide as a request that was lost in part: others between may have arrived, or be claimed by others.
    const sequences = [
      { first: numbers[0] as number, last: numbers.at(-1) as number, count: numbers.length },
    ];
    losses.push({ ...common, reason: `refused_${claim}`, count: BigInt(numbers.length), sequences });
  }
  if (unnumbered > 0n) losses.push({ ...common, reason: "ring_full", count: unnumbered, sequences: [] });
  return losses.map((loss, index) => ({ ...loss, lossId: index + 1 }));
}

/** Copies of the records of one to three streams, in the order in which they are stored: any. */
export const storedCopies: fc.Arbitrary<SentRecord[]> = fc
  .tuple(planOf("one"), fc.option(planOf("two")), fc.option(planOf("three")))
  .map((plans) => plans.filter((plan) => plan !== null).flatMap(copiesOf))
  .chain((copies) => fc.shuffledSubarray(copies, { minLength: copies.length, maxLength: copies.length }));

/** What a model says of a stream. */
export interface ModelReport {
  records: number;
  control: number;
  duplicates: number;
  missing: number;
  explained: Record<string, number>;
  unnumbered: bigint;
  ended: boolean;
  lastSequence: number;
  recordsByType: Record<string, number>;
}

/** What can be said when exactly these copies were received. */
export function modelOf(received: readonly SentRecord[]): Map<string, ModelReport> {
  const byStream = Map.groupBy(received, ({ streamId }) => streamId);
  return new Map(Array.from(byStream, ([streamId, records]) => [streamId, modelOfStream(records)]));
}

function modelOfStream(records: readonly SentRecord[]): ModelReport {
  const unique = new Map(records.map((record) => [record.sequence, record]));
  const losses = new Map<number, LossRecord>();
  const recordsByType: Record<string, number> = {};
  let lastSequence = 0;
  let control = 0;
  let ended = false;
  for (const record of unique.values()) {
    lastSequence = Math.max(lastSequence, record.sequence);
    if (record.kind === "evidence") recordsByType[record.type] = (recordsByType[record.type] ?? 0) + 1;
    else control++;
    if (record.kind === "loss") losses.set(record.loss.lossId, record.loss);
    if (record.kind === "stream") ended = true;
  }
  const explained: Record<string, number> = {};
  let unnumbered = 0n;
  for (const { reason, count, sequences } of losses.values()) {
    for (const { last } of sequences) lastSequence = Math.max(lastSequence, last);
    if (sequences.length > 0) explained[reason] = (explained[reason] ?? 0) + Number(count);
    else unnumbered += count;
  }
  return {
    records: unique.size - control,
    control,
    duplicates: records.length - unique.size,
    missing: lastSequence - unique.size,
    explained,
    unnumbered,
    ended,
    lastSequence,
    recordsByType,
  };
}
