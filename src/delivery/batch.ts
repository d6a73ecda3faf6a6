/**
 * When the records gathered so far become one sealed request: by bytes, because receivers limit bytes (a
 * Collector's gRPC server takes 4 MiB), and by age, because evidence should be seen soon. Decides only; the
 * bytes stay with whoever encodes them.
 */

/** Default of `bytesMax`: 3.5 MiB before compression, below the 4 MiB that gRPC servers take by default. */
export const BATCH_BYTES_MAX = 3.5 * 1024 * 1024;

/** Default of `ageMaxMs`; the same as the default of `OTEL_BLRP_SCHEDULE_DELAY`. */
export const BATCH_AGE_MAX_MS = 1000;

/** Default of `marginBytes`: more than any captured frame becomes. */
export const BATCH_MARGIN_BYTES = 64 * 1024;

/** Why a batch was sealed. */
export type SealReason = "bytes" | "age" | "flush";

/** Runs `action` after `delayMs` unless the returned function is called before. */
export type Schedule = (action: () => void, delayMs: number) => () => void;

export interface BatchOptions {
  /** Uncompressed size of a request at most; a single larger record goes alone. */
  readonly bytesMax?: number;
  /** Longest time from the first record of a batch to its seal; 0 seals after every `grown`. */
  readonly ageMaxMs?: number;
  /** Room left for the next append: the batch is sealed when less than this is left. */
  readonly marginBytes?: number;
  /** Called when the batch must be sealed now; the batch is empty again when it is called. */
  readonly seal: (reason: SealReason) => void;
  readonly schedule?: Schedule;
}

/** The limits of the batch being filled. */
export interface Batch {
  /** Whether `moreBytes` fit beside `byteLength` bytes; an empty batch takes anything. If not, `flush` first. */
  fits(byteLength: number, moreBytes: number): boolean;
  /** Records were added; `byteLength` is the size of the whole request now. Seals when it is full. */
  grown(byteLength: number): void;
  /** Seals what is there, if anything. */
  flush(): void;
}

/** Makes the policy for one stream of batches. */
export function createBatch(options: BatchOptions): Batch {
  const bytesMax = options.bytesMax ?? BATCH_BYTES_MAX;
  const ageMaxMs = options.ageMaxMs ?? BATCH_AGE_MAX_MS;
  const fullAtBytes = Math.max(1, bytesMax - (options.marginBytes ?? BATCH_MARGIN_BYTES));
  const schedule = options.schedule ?? scheduleTimer;
  let cancelTimer: (() => void) | undefined;
  let filled = false;

  const seal = (reason: SealReason) => {
    if (!filled) return;
    cancelTimer?.();
    cancelTimer = undefined;
    filled = false;
    options.seal(reason);
  };
  return {
    fits: (byteLength, moreBytes) => !filled || byteLength + moreBytes <= bytesMax,
    grown(byteLength) {
      const first = !filled;
      filled = true;
      if (byteLength >= fullAtBytes) seal("bytes");
      else if (ageMaxMs === 0) seal("age");
      else if (first) cancelTimer = schedule(() => seal("age"), ageMaxMs);
    },
    flush: () => seal("flush"),
  };
}

function scheduleTimer(action: () => void, delayMs: number): () => void {
  const timer = setTimeout(action, delayMs);
  return () => clearTimeout(timer);
}
