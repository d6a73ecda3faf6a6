/**
 * The language runtimes of processes: what the probe says of a process image once, before its first
 * function_call.
 */
import { BODY, frameLength, framePid, START_BOOT_NS_OFFSET, u8, u32 } from "./header.ts";
import { PROCESS_RUNTIME_BODY, PROCESS_RUNTIME_BODY_SIZE, ProcessRuntime } from "./layout.gen.ts";

interface ProcessImage {
  readonly startLo: number;
  readonly startHi: number;
  readonly runtime: number;
}

/** Processes that were heard of lately; twice as many are remembered at most. */
const RECENT_MAX = 32_768;
const RUNTIME_LAST = Math.max(...Object.values(ProcessRuntime));

const runtimeOf = u8(BODY + PROCESS_RUNTIME_BODY.runtime.offset);
const startLo = u32(START_BOOT_NS_OFFSET);
const startHi = u32(START_BOOT_NS_OFFSET + 4);

/**
 * Runtimes by pid and start time. A cache of two generations: what is used moves to the young one; when that
 * is full, it becomes the old one, and the old one, not used since, is forgotten.
 */
export class ProcessRuntimes {
  #young = new Map<number, ProcessImage>();
  #old = new Map<number, ProcessImage>();
  readonly #recentMax: number;

  constructor(recentMax = RECENT_MAX) {
    this.#recentMax = recentMax;
  }

  /** The runtime (`ProcessRuntime`) of the process of the event at `start`, if the stream said it. */
  get(buffer: Buffer, start: number): number | undefined {
    const pid = framePid(buffer, start);
    let image = this.#young.get(pid);
    if (image === undefined) {
      image = this.#old.get(pid);
      if (image === undefined) return undefined;
      this.#add(pid, image);
    }
    const sameProcess = image.startLo === startLo(buffer, start) && image.startHi === startHi(buffer, start);
    return sameProcess ? image.runtime : undefined;
  }

  /** Takes the process-runtime frame at `start`; what is wrong with it, or `undefined`. */
  take(buffer: Buffer, start: number): string | undefined {
    if (frameLength(buffer, start) < BODY + PROCESS_RUNTIME_BODY_SIZE) {
      return "process runtime frame that is too short";
    }
    const runtime = runtimeOf(buffer, start);
    if (runtime > RUNTIME_LAST) return `process runtime frame with runtime ${runtime}`;
    this.#add(framePid(buffer, start), {
      startLo: startLo(buffer, start),
      startHi: startHi(buffer, start),
      runtime,
    });
    return undefined;
  }

  #add(pid: number, image: ProcessImage): void {
    if (this.#young.size >= this.#recentMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(pid, image);
  }
}
