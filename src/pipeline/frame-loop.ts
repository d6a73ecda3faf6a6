/**
 * Reads a frame source to its end: checks each frame, keeps the books, and hands events to the sinks.
 */
import { type FrameSource, RESTARTED } from "../capture/source.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { checkEventFrame } from "../frames/check.ts";
import type { FrameContext } from "../frames/context.ts";
import { type Hello, readClockOffsetNs, readCounters, readHello } from "../frames/control.ts";
import { frameEventType } from "../frames/fields.ts";
import { frameKind } from "../frames/header.ts";
import { FrameKind } from "../frames/layout.gen.ts";
import { FrameSplitter } from "../frames/split.ts";
import type { Ledger } from "../health/ledger.ts";
import type { EventSink } from "./event-sink.ts";
import { nowUnixNano } from "./wall-clock.ts";

/** What a frame loop works with. */
export interface FrameLoopOptions {
  source: FrameSource;
  /** What this loop learns from the stream, for the sinks to read events with. */
  context: FrameContext;
  ledger: Ledger;
  sinks: readonly EventSink[];
  /** What is counted while it runs. */
  flow: FrameFlow;
  /** Called once, before the first event. */
  onHello?: (hello: Hello) => void;
}

/** What was wrong with the stream; all zero when nothing was. */
export interface FrameDamage extends FlowDamage {
  /** Why the source or a sink failed, where one did; what could still be done was done. */
  failure: RuntimeEvidenceError | undefined;
}

/** How the frames flow, for whoever wants to know while they do. */
export interface FrameFlow {
  bytesRead: number;
  /** Time in which nothing was read, because a sink took nothing. */
  blockedMs: number;
  readonly damage: FlowDamage;
}

/** What was wrong with the stream so far. */
export interface FlowDamage {
  malformedFrames: number;
  firstMalformed: string | undefined;
  unknownFrames: number;
  skippedBytes: number;
  firstDamageOffset: number | undefined;
  tornTailBytes: number;
  /** Whether the stream ended with its final counters, as an orderly one does. */
  finalCounters: boolean;
  /** How often a probe was killed and another went on. What it had taken with it is lost as `not_received`. */
  probeRestarts: number;
}

/** Of a stream of which nothing was read yet. */
export function createFrameFlow(): FrameFlow {
  const damage = {
    malformedFrames: 0,
    firstMalformed: undefined,
    unknownFrames: 0,
    skippedBytes: 0,
    firstDamageOffset: undefined,
    tornTailBytes: 0,
    finalCounters: false,
    probeRestarts: 0,
  };
  return { bytesRead: 0, blockedMs: 0, damage };
}

/**
 * Runs until the source has ended, in order or not, then closes the books. Sinks are not ended here.
 * A sink that fails is left out from then on; when none is left, the source is stopped.
 * @throws RuntimeEvidenceError when the stream is none or begins with another build.
 */
export async function runFrameLoop(options: FrameLoopOptions): Promise<FrameDamage> {
  const loop = new FrameLoop(options);
  const { source, ledger, flow } = options;
  const asFailure = (error: unknown): RuntimeEvidenceError => RuntimeEvidenceError.from(error);
  // Reading fails where a recording can't be written, or a probe of another build goes on.
  const readFailure = await readChunks(loop, source, flow).catch(asFailure);
  const sourceFailure = readFailure ?? (await source.ended.then(() => undefined, asFailure));
  // With its final counters the stream was whole, whatever became of the process behind it.
  const failure = readFailure ?? loop.sinkFailure ?? (loop.damage.finalCounters ? undefined : sourceFailure);
  if (!loop.greeted) {
    if (failure !== undefined) throw failure;
    throw new RuntimeEvidenceError("bad-input", `${source.name}: no frames, not even a hello frame`);
  }
  const isCutOff = !loop.damage.finalCounters && (sourceFailure !== undefined || loop.isCounted);
  if (isCutOff) ledger.uncounted(loop.countedAtUnixNano);
  ledger.close(loop.damage.finalCounters);
  return { ...loop.damage, failure };
}

async function readChunks(loop: FrameLoop, { chunks }: FrameSource, flow: FrameFlow): Promise<undefined> {
  let splitter = new FrameSplitter();
  try {
    for await (const chunk of chunks) {
      if (chunk === RESTARTED) {
        loop.restarted(splitter);
        splitter = new FrameSplitter();
      } else {
        flow.bytesRead += chunk.length;
        splitter.push(chunk, loop.onFrame);
      }
      const startedMs = performance.now();
      await loop.settleSinks();
      flow.blockedMs += performance.now() - startedMs;
    }
  } finally {
    loop.endStream(splitter);
  }
}

class FrameLoop {
  greeted = false;
  /** When the kernel's counts were read last, in nanoseconds since the Unix epoch. */
  countedAtUnixNano = nowUnixNano();
  /** Whether they ever were: old recordings have none, and nobody misses the last. */
  isCounted = false;
  sinkFailure: RuntimeEvidenceError | undefined;
  readonly damage: FlowDamage;
  readonly #options: FrameLoopOptions;
  #sinks: readonly EventSink[];

  constructor(options: FrameLoopOptions) {
    this.#options = options;
    this.#sinks = options.sinks;
    this.damage = options.flow.damage;
  }

  endStream(splitter: FrameSplitter): void {
    this.#endProbe(splitter);
    this.damage.tornTailBytes = splitter.tornTailBytes;
  }

  /**
   * Another probe goes on: with a hello of its own, and with the counters of the kernel as they are. A frame
   * that was torn is no damage: its event is `not_received`, like all that the killed probe had taken.
   */
  restarted(splitter: FrameSplitter): void {
    this.#endProbe(splitter);
    this.damage.probeRestarts++;
  }

  #endProbe(splitter: FrameSplitter): void {
    this.damage.skippedBytes += splitter.skippedBytes;
    this.damage.firstDamageOffset ??= splitter.firstDamageOffset;
  }

  /** Waits until every sink takes more. */
  async settleSinks(): Promise<void> {
    for (const sink of this.#sinks) {
      try {
        await sink.ready();
      } catch (error) {
        this.sinkFailure ??= RuntimeEvidenceError.from(error);
        this.#sinks = this.#sinks.filter((other) => other !== sink);
        if (this.#sinks.length === 0) this.#options.source.stop();
      }
    }
  }

  readonly onFrame = (buffer: Buffer, start: number): void => {
    if (!this.greeted) {
      this.#hello(buffer, start);
      return;
    }
    const type = frameEventType(buffer, start);
    if (type === undefined) {
      this.#control(buffer, start);
      return;
    }
    const { ledger } = this.#options;
    ledger.received(type);
    const problem = checkEventFrame(type, buffer, start);
    if (problem !== undefined) {
      ledger.lost(type, "malformed", 1);
      this.#malformed(problem);
      return;
    }
    if (this.#sinks.length === 0) ledger.lost(type, "output_failed", 1);
    for (const sink of this.#sinks) sink.event(type, buffer, start);
  };

  #hello(buffer: Buffer, start: number): void {
    const hello = readHello(buffer, start);
    this.greeted = true;
    this.#options.context.clock.set(hello.realtimeOffsetNs);
    this.#options.onHello?.(hello);
  }

  #control(buffer: Buffer, start: number): void {
    switch (frameKind(buffer, start)) {
      case FrameKind.HELLO:
        this.#options.context.clock.set(readHello(buffer, start).realtimeOffsetNs);
        return;
      case FrameKind.CLOCK: {
        const offsetNs = readClockOffsetNs(buffer, start);
        if (offsetNs === undefined) this.#malformed("clock frame without an offset");
        else this.#options.context.clock.set(offsetNs);
        return;
      }
      case FrameKind.COUNTERS:
        this.#counters(buffer, start);
        return;
      case FrameKind.ATTACH_POINT:
        this.#taken(this.#options.context.attachPoints.take(buffer, start));
        return;
      case FrameKind.PROCESS_RUNTIME:
        this.#taken(this.#options.context.runtimes.take(buffer, start));
        this.#options.context.stackSymbols.forget(buffer, start);
        return;
      case FrameKind.SYMBOL:
        this.#taken(this.#options.context.stackSymbols.take(buffer, start));
        return;
      default:
        this.damage.unknownFrames++;
    }
  }

  #counters(buffer: Buffer, start: number): void {
    const counters = readCounters(buffer, start);
    if (counters === undefined) {
      this.#malformed("counters frame that is too short");
      return;
    }
    this.isCounted = true;
    this.countedAtUnixNano = nowUnixNano();
    for (const { probe, ...counts } of counters.probes) this.#options.ledger.kernel(probe, counts);
    if (counters.final) this.damage.finalCounters = true;
  }

  #taken(problem: string | undefined): void {
    if (problem !== undefined) this.#malformed(problem);
  }

  #malformed(problem: string): void {
    this.damage.malformedFrames++;
    this.damage.firstMalformed ??= problem;
  }
}

/** One line per kind of damage, for people; none when the stream was sound. */
export function damageLines(source: string, damage: FrameDamage): string[] {
  const lines: string[] = [];
  if (damage.skippedBytes > 0) {
    lines.push(
      `${source}: skipped ${damage.skippedBytes} bytes that are no frames, the first at byte ${damage.firstDamageOffset}`,
    );
  }
  if (damage.malformedFrames > 0) {
    lines.push(
      `${source}: ${damage.malformedFrames} frames contradict themselves, the first: ${damage.firstMalformed}`,
    );
  }
  if (damage.unknownFrames > 0) {
    lines.push(`${source}: skipped ${damage.unknownFrames} frames of a kind unknown to this build`);
  }
  if (damage.tornTailBytes > 0) {
    lines.push(`${source}: ends within a frame; its ${damage.tornTailBytes} bytes were left out`);
  }
  return lines;
}
