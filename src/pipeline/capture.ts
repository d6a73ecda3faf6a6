/**
 * `capture` and `replay`: a frame source to a collector, to v1 NDJSON, or to both.
 *
 * For the live probe, order matters. What needs the caller's rights (files, certificates, the command, the
 * probe) comes first, then root is given up, and only then the first event is read:
 *
 *   open files ─► launch CMD, held back ─► start probe ─► give up root ─► open spool ─► hello ─► let CMD go ─► pump
 */
import { type LaunchedCommand, launchCommand } from "../capture/launch.ts";
import { findProbeBinary } from "../capture/probe-binary.ts";
import {
  CAPTURED_EVENTS,
  type CapturedEvent,
  type Filters,
  type ProbeConfig,
  type UprobeOptions,
} from "../capture/probe-config.ts";
import { startProbe } from "../capture/probe-source.ts";
import { openRecording } from "../capture/record-source.ts";
import type { Diagnostic, FrameSource } from "../capture/source.ts";
import { prepareSpoolDirectory } from "../delivery/spool-directory.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { Hello } from "../frames/control.ts";
import { Ledger, type ProbeBalance } from "../health/ledger.ts";
import { createFrameFlow, type FrameDamage, type FrameFlow, runFrameLoop } from "./frame-loop.ts";
import { type Account, giveUpRoot, isRoot } from "./give-up-root.ts";
import { type PreparedSinks, prepareSinks, type SinkOptions, type Sinks } from "./sinks.ts";

/** How long the sinks may take to deliver the rest at the end. */
export const SHUTDOWN_TIMEOUT_DEFAULT_MS = 30_000;

/** What a running capture tells its front end. */
export interface CaptureObserver {
  onHello(hello: Hello): void;
  onDiagnostic(diagnostic: Diagnostic): void;
}

/**
 * When nothing waits for a collector any more, a probe that still gives something is waited for: its last counts say what
 * the ring held. Looks are counted, not time: on a starved machine this process may be what is late.
 */
const PROBE_LOOK_MS = 500;
/** After so many looks without a byte it is taken for stuck. */
const PROBE_LOOKS_MAX = 4;
/** It is not waited for longer than this, whatever it gives. */
const PROBE_END_MAX_MS = 30_000;

export interface LiveCaptureOptions {
  sinks: SinkOptions;
  events: CapturedEvent[];
  filters: Filters;
  uprobes: UprobeOptions;
  ringBytes?: number | undefined;
  execRingBytes?: number | undefined;
  durationMs?: number | undefined;
  /** Keep the frames as they came in this file, too. */
  recordPath?: string | undefined;
  /** Follow this command and its children. */
  command?: readonly string[] | undefined;
  /** Who to become when started as root. */
  account: Account;
  shutdownTimeoutMs: number;
}

export interface CaptureResult {
  balances: ProbeBalance[];
  damage: FrameDamage;
  /** Whether the command, if there is one, was let go; not when nothing could be captured. */
  commandStarted: boolean;
}

/** A capture under way. */
export interface RunningCapture {
  readonly ledger: Ledger;
  readonly flow: FrameFlow;
  readonly sinks: Sinks;
  readonly command: LaunchedCommand | undefined;
  /** Ends it in order: what the kernel holds is still read and delivered. */
  stop(): void;
  /** Ends it at once: what is not in the spool by then is counted as lost. */
  abort(): void;
  readonly result: Promise<CaptureResult>;
}

/** Starts a live capture; resolves once everything is started and root is given up. */
export async function startLiveCapture(
  options: LiveCaptureOptions,
  observer: CaptureObserver,
): Promise<RunningCapture> {
  const probePath = findProbeBinary();
  const ledger = new Ledger(options.events);
  const prepared = await prepareSinks(options.sinks, ledger);
  const recording = options.recordPath === undefined ? undefined : await openRecording(options.recordPath);
  const command = options.command && (await launchCommand(probePath, options.command));
  const source = await startProbe(probePath, probeConfig(options, command), observer.onDiagnostic).catch(
    (error: unknown) => {
      command?.release();
      throw error;
    },
  );
  const sinks = await startSinks(prepared, options).catch((error: unknown) => {
    source.kill();
    command?.release();
    throw error;
  });
  let durationTimer: NodeJS.Timeout | undefined;
  let commandStarted = false;
  const onHello = (hello: Hello): void => {
    observer.onHello(hello);
    if (options.durationMs !== undefined) durationTimer = setTimeout(pump.stop, options.durationMs);
    // With nothing attached the probe ends at once, and the command must not run unseen.
    const asked: readonly string[] = options.events;
    commandStarted =
      command !== undefined &&
      hello.hooks.some(({ state, probe }) => state === "on" && asked.includes(probe));
    if (commandStarted) command?.go();
  };
  const pump = new Pump(recording?.record(source) ?? source, sinks, options.shutdownTimeoutMs);
  void command?.exitCode.then(pump.stop);
  const result = pump
    .run(ledger, onHello)
    .then((damage) => ({ balances: ledger.balances(), damage, commandStarted }))
    .finally(() => {
      clearTimeout(durationTimer);
      if (!commandStarted) command?.release();
    });
  return { ledger, flow: pump.flow, sinks, command, stop: pump.stop, abort: pump.abort, result };
}

/** The spool belongs to whom this process becomes. */
async function startSinks(prepared: PreparedSinks, { sinks, account }: LiveCaptureOptions): Promise<Sinks> {
  if (isRoot()) {
    const { spool } = sinks.delivery.queue;
    const isSent = sinks.otlp !== undefined && sinks.otlp !== "discard";
    if (isSent && spool !== undefined) await prepareSpoolDirectory(spool.directory, account);
    giveUpRoot(account);
  }
  return prepared.start();
}

/** Starts replaying a recording. */
export async function startReplay(
  source: FrameSource,
  options: { sinks: SinkOptions; shutdownTimeoutMs: number },
  onHello: (hello: Hello) => void,
): Promise<RunningCapture> {
  const ledger = new Ledger(CAPTURED_EVENTS);
  const sinks = await (await prepareSinks(options.sinks, ledger)).start();
  const pump = new Pump(source, sinks, options.shutdownTimeoutMs);
  const result = pump.run(ledger, onHello).then((damage) => ({
    balances: ledger.balances(),
    damage,
    commandStarted: false,
  }));
  return { ledger, flow: pump.flow, sinks, command: undefined, stop: pump.stop, abort: pump.abort, result };
}

/** A source on its way through sinks, and the time it may take to end. */
class Pump {
  readonly flow = createFrameFlow();
  readonly #source: FrameSource;
  readonly #sinks: Sinks;
  readonly #shutdownTimeoutMs: number;
  #deadlineMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looks: NodeJS.Timeout | undefined;

  constructor(source: FrameSource, sinks: Sinks, shutdownTimeoutMs: number) {
    this.#source = source;
    this.#sinks = sinks;
    this.#shutdownTimeoutMs = shutdownTimeoutMs;
  }

  /** Ends the source in order. A collector that takes nothing is waited for until the timeout, not longer. */
  readonly stop = (): void => {
    this.#source.stop();
    if (this.#timer !== undefined) return;
    this.#deadlineMs = performance.now() + this.#shutdownTimeoutMs;
    this.#timer = setTimeout(this.abort, this.#shutdownTimeoutMs);
  };

  /** Neither the source nor a sink is waited for any longer: a probe may be stopped, a collector dead. */
  readonly abort = (): void => {
    for (const sink of this.#sinks.all) sink.abort();
    this.#looks ??= this.#killWhenStuck();
  };

  #killWhenStuck(): NodeJS.Timeout {
    const startedMs = performance.now();
    let { bytesRead } = this.flow;
    let idleLooks = 0;
    const looks = setInterval(() => {
      idleLooks = this.flow.bytesRead === bytesRead ? idleLooks + 1 : 0;
      bytesRead = this.flow.bytesRead;
      if (idleLooks < PROBE_LOOKS_MAX && performance.now() - startedMs < PROBE_END_MAX_MS) return;
      clearInterval(looks);
      this.#source.kill();
    }, PROBE_LOOK_MS);
    return looks;
  }

  async run(ledger: Ledger, onHello: (hello: Hello) => void): Promise<FrameDamage> {
    const { context, all } = this.#sinks;
    let damage: FrameDamage | undefined;
    let endFailure: RuntimeEvidenceError | undefined;
    try {
      damage = await runFrameLoop({
        source: this.#source,
        context,
        ledger,
        sinks: all,
        flow: this.flow,
        onHello,
      });
    } finally {
      // Also after a failure: what was read before it is delivered.
      this.stop();
      clearInterval(this.#looks);
      for (const sink of all) {
        const timeLeftMs = Math.max(0, (this.#deadlineMs ?? 0) - performance.now());
        await sink.end(timeLeftMs).catch((error: unknown) => {
          endFailure ??= RuntimeEvidenceError.from(error);
        });
      }
      clearTimeout(this.#timer);
      clearInterval(this.#looks);
    }
    return { ...damage, failure: damage.failure ?? endFailure };
  }
}

function probeConfig(options: LiveCaptureOptions, command: LaunchedCommand | undefined): ProbeConfig {
  const { filters, account, uprobes } = options;
  const tree = { ...filters.tree, include: [...filters.tree.include, ...(command ? [command.pid] : [])] };
  const own = [process.pid, ...(command ? [command.launcherPid] : [])];
  return {
    probes: options.events,
    own_processes: own,
    // It is ended before, where sinks take longer.
    drain_timeout_ms: options.shutdownTimeoutMs + PROBE_END_MAX_MS + PROBE_LOOK_MS,
    filters: { ...filters, tree },
    ...uprobes,
    ...(options.ringBytes === undefined ? {} : { events_ring_bytes: options.ringBytes }),
    ...(options.execRingBytes === undefined ? {} : { exec_ring_bytes: options.execRingBytes }),
    ...(isRoot() ? { user: { uid: account.uid, gid: account.gid } } : {}),
  };
}
