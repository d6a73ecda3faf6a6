/**
 * The books of a capture. For each probe, always: seen = exported + spooled + filtered + Σ lost(reason).
 *
 * The kernel counts what a program saw, left out and lost; this process counts what became of each
 * emitted event. Counters only grow and are exact integers.
 */

/** Why an event that the kernel emitted was not exported, though it never got a sequence number. */
const UNNUMBERED_LOSS_REASONS = [
  /** Emitted by the kernel, but never read here: the probe was killed or its pipe broke. */
  "not_received",
  /** The frame contradicts itself. */
  "malformed",
  /** Read after the output had failed or was closed by its reader. */
  "output_failed",
] as const;

/** Why a record that had a sequence number was not exported: it leaves a gap in its stream. */
export const NUMBERED_LOSS_REASONS = [
  /** Dropped because the queue was full. */
  "queue_full",
  /** The spool file that held it was damaged or gone. */
  "damaged",
  /** Older than the age that was asked for, and still not delivered. */
  "given_up",
  /** Refused for good by the collector. */
  "refused",
  /** Answered with a partial success that rejected it. */
  "rejected",
  /** By itself larger than the collector takes. */
  "too_large",
  /** Still queued when the time to shut down was over. */
  "undelivered",
] as const;

/** Why an event that the kernel emitted was not exported. */
export const EXPORT_LOSS_REASONS = [...UNNUMBERED_LOSS_REASONS, ...NUMBERED_LOSS_REASONS] as const;
export type ExportLossReason = (typeof EXPORT_LOSS_REASONS)[number];

/** What the kernel side says of one probe; totals since start. */
export interface KernelCounts {
  seen: bigint;
  emitted: bigint;
  filtered: bigint;
  lost: ReadonlyMap<string, bigint>;
}

/** One probe's line in the books. `pending` is on its way: zero once all is drained. */
export interface ProbeBalance {
  probe: string;
  seen: bigint;
  /** What of it the kernel gave to the probe. */
  emitted: bigint;
  exported: bigint;
  /** On disk when the capture ended: the next one delivers them. */
  spooled: bigint;
  filtered: bigint;
  lost: ReadonlyMap<string, bigint>;
  lostTotal: bigint;
  pending: bigint;
}

class Account {
  kernel: KernelCounts = { seen: 0n, emitted: 0n, filtered: 0n, lost: new Map() };
  received = 0;
  exported = 0;
  spooled = 0;
  readonly lost = new Map<ExportLossReason, number>();
}

/** Counts per probe, by name. */
export class Ledger {
  readonly #accounts = new Map<string, Account>();
  #uncountedSinceUnixNano: bigint | undefined;

  constructor(probes: readonly string[]) {
    for (const probe of probes) this.#accounts.set(probe, new Account());
  }

  /** Takes the kernel's latest totals; those of a probe that is not captured are all zero and left out. */
  kernel(probe: string, counts: KernelCounts): void {
    const account = this.#accounts.get(probe);
    if (account !== undefined) account.kernel = counts;
  }

  /** The frames of `count` events were read. */
  received(probe: string, count = 1): void {
    this.#account(probe).received += count;
  }

  /** `count` events were acknowledged. */
  exported(probe: string, count: number): void {
    this.#account(probe).exported += count;
  }

  /** `count` events are on disk for the next run to deliver. */
  spooled(probe: string, count: number): void {
    this.#account(probe).spooled += count;
  }

  /** `count` events will not be exported. */
  lost(probe: string, reason: ExportLossReason, count: number): void {
    const { lost } = this.#account(probe);
    lost.set(reason, (lost.get(reason) ?? 0) + count);
  }

  /** What the kernel did from then on nobody has counted: the last counts are older than the end. */
  uncounted(sinceUnixNano: bigint): void {
    this.#uncountedSinceUnixNano = sinceUnixNano;
  }

  get uncountedSinceUnixNano(): bigint | undefined {
    return this.#uncountedSinceUnixNano;
  }

  /**
   * Closes the books when nothing more can arrive: what the kernel emitted and nobody read is lost as
   * `not_received`. For a recording without kernel counters, what was read is what was seen.
   */
  close(kernelCountsFinal: boolean): void {
    for (const account of this.#accounts.values()) {
      const read = BigInt(account.received) + BigInt(account.lost.get("not_received") ?? 0);
      const missing = account.kernel.emitted - read;
      if (missing > 0n)
        account.lost.set("not_received", Number(missing) + (account.lost.get("not_received") ?? 0));
      else if (!kernelCountsFinal && missing < 0n) {
        const { seen, emitted } = account.kernel;
        account.kernel = { ...account.kernel, seen: seen - missing, emitted: emitted - missing };
      }
    }
  }

  /** The line of each probe, in the order given at construction. */
  balances(): ProbeBalance[] {
    return [...this.#accounts].map(([probe, account]) => balance(probe, account));
  }

  #account(probe: string): Account {
    const account = this.#accounts.get(probe);
    if (account === undefined) throw new RangeError(`no such probe: ${probe}`);
    return account;
  }
}

function balance(probe: string, account: Account): ProbeBalance {
  const { kernel, lost: exportLost } = account;
  const exported = BigInt(account.exported);
  const spooled = BigInt(account.spooled);
  const lost = new Map<string, bigint>();
  for (const [reason, count] of kernel.lost) if (count > 0n) lost.set(reason, count);
  for (const [reason, count] of exportLost) if (count > 0) lost.set(reason, BigInt(count));
  const lostTotal = [...lost.values()].reduce((sum, count) => sum + count, 0n);
  return {
    probe,
    seen: kernel.seen,
    emitted: kernel.emitted,
    exported,
    spooled,
    filtered: kernel.filtered,
    lost,
    lostTotal,
    pending: kernel.seen - exported - spooled - kernel.filtered - lostTotal,
  };
}
