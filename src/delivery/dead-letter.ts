/**
 * Where records go that no collector will ever accept, so that they can be looked at and sent again by hand. They
 * are counted as lost all the same: nobody who reads the collector will see them.
 */
import type { SealedRequest } from "./outcome.ts";

export interface DeadLetter {
  /**
   * Keeps a request, which may be one record cut out of a larger one; `reason` is one line, fit to show. False when
   * it could not be kept (full, or the disk failed), which the dead letter itself reports. Never rejects.
   */
  append(request: SealedRequest, reason: string): Promise<boolean>;
  /** Writes what is left. No `append` may follow. */
  close(): Promise<void>;
}
