/**
 * Where encoded log records go: they are written into `builder`, and leave as requests.
 */
import type { RequestBuilder } from "../otlp/request-builder.ts";

export interface RequestOutlet {
  /** The request being built. */
  readonly builder: RequestBuilder;
  /** The place in the stream of the next record, which this one of the probes has made. */
  next(probe: number): number;
  /** Before a record of at most `byteCount` bytes: sends what is there first where the two don't fit together. */
  makeRoom(byteCount: number): void;
  /** After records were written. */
  grown(): void;
  /** Resolves when more can be taken. Rejects when it can't go on. */
  ready(): Promise<void>;
  /** Stops waiting for a receiver that does not take anything: `ready` and `end` return soon from now on. */
  abort(): void;
  /** Passes on what is held, waits at most `timeoutMs`, and closes. */
  end(timeoutMs: number): Promise<void>;
}
