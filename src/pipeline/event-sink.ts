/**
 * Where captured events go. A capture has one sink or two (a collector and a file), which see the same
 * frames in the same order.
 */
import type { FrameEventType } from "../frames/fields.ts";

/** Takes sound event frames, one at a time, and gives pressure back once per chunk. */
export interface EventSink {
  /** Takes the event frame at `start`; the buffer is the caller's again when this returns. */
  event(type: FrameEventType, buffer: Buffer, start: number): void;
  /** Resolves when the sink is ready for the next chunk. Rejects when it can't go on. */
  ready(): Promise<void>;
  /** Stops waiting for a receiver that does not take anything: `ready` and `end` return soon from now on. */
  abort(): void;
  /** Passes on what is held, waits at most `timeoutMs`, and closes. */
  end(timeoutMs: number): Promise<void>;
}
