/**
 * Where frames come from. The live probe and a recorded frame file are the same interface, so that every
 * stage behind it runs, and is tested, without privileges.
 */

/** One line that the probe says about itself on stderr. */
export interface Diagnostic {
  level: "debug" | "info" | "warn" | "error";
  code: string;
  message: string;
  /** What else the line has, by name. */
  details: Readonly<Record<string, unknown>>;
}

/**
 * In place of a chunk: the probe was killed here, and what follows is from the one that took its place. A frame
 * that the first had begun is not continued.
 */
export const RESTARTED = Symbol("restarted");

/** A stream of frames, torn anywhere. */
export interface FrameSource {
  /** What people call it: "probe" or the file's name. */
  readonly name: string;
  /** The bytes, in order. Not reading is how pressure reaches the kernel's ring, which counts its loss. */
  readonly chunks: AsyncIterable<Buffer | typeof RESTARTED>;
  /** Asks for an orderly end: the rest of the ring and the final counters still come. */
  stop(): void;
  /** Ends it at once, for one that does not end when asked to; what it still has is not read. */
  kill(): void;
  /** Settles after the last chunk; rejects when the source failed rather than ended. */
  readonly ended: Promise<void>;
}
