/**
 * The books of a capture. For each probe, always: seen = exported + filtered + Σ lost(reason).
 *
 * The kernel counts what a program saw, left out and lost; this process counts what became of each
 * emitted event. Counters only grow and are exact integers.
 */

/** Why an event that the kernel emitted was not exported. */
export const EXPORT_LOSS_REASONS = [
  /** Emitted by the kernel, but never read here: the probe was killed or its pipe broke. */
  "not_received",
  /** The frame contradicts itself. */
  "malformed",
  /** Refused for good by the collector. */
  "refused",
  /** Answered with a partial success that rejected it. */
  "rejected",
  /** Still queued when the time to shut down was over. */
  "undelivered",
  /** Read after the output had failed or was closed by its reader. */
  "output_failed",
] as const;
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
  exported: bigint;
  filtered: bigint;
  lost: ReadonlyMap<string, bigint>;
  lostTotal: bigint;
  pending: bigint;
}

class Account {
  kernel: KernelCounts = { seen: 0n, emitted: 0n, filtered: 0n, lost: new Map() };
  received = 0;
  exported = 0;
  readonly lost = new Map<ExportLossReason, number>();
}

/** Counts per probe, by name. */
export class Ledger {
  readonly #accounts = new Map<string, Account>();

  constructor(probes: readonly string[]) {
    for (const probe of probes) this.#accounts.set(probe, new Account());
  }

  /** Takes the kernel's latest totals; those of a probe that is not captured are all zero and left out. */
  kernel(probe: string, counts: KernelCounts): void {
    const account = this.#accounts.get(probe);
    if (account !== undefined) account.kernel = counts;
  }

  /** One event's frame was read. */
  received(probe: string): void {
    this.#account(probe).received++;
  }

  /** `count` events were acknowledged. */
  exported(probe: string, count: number): void {
    this.#account(probe).exported += count;
  }

  /** `count` events will not be exported. */
  lost(probe: string, reason: ExportLossReason, count: number): void {
    const { lost } = this.#account(probe);
    lost.set(reason, (lost.get(reason) ?? 0) + count);
  }

  /**
   * Closes the books when nothing more can arrive: what the kernel emitted and nobody read is lost as
   * `not_received`. For a recording without kernel counters, what was read is what was seen.
   */
  close(kernelCountsFinal: boolean): void {
    for (const account of this.#accounts.values()) {
      const received = BigInt(account.received);
      if (account.kernel.emitted > received) {
        account.lost.set("not_received", Number(account.kernel.emitted - received));
      } else if (!kernelCountsFinal && account.kernel.emitted < received) {
        const missing = received - account.kernel.emitted;
        account.kernel = {
          ...account.kernel,
          seen: account.kernel.seen + missing,
          emitted: received,
        };
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

function balance(probe: string, { kernel, exported, lost: exportLost }: Account): ProbeBalance {
  const lost = new Map<string, bigint>();
  for (const [reason, count] of kernel.lost) if (count > 0n) lost.set(reason, count);
  for (const [reason, count] of exportLost) if (count > 0) lost.set(reason, BigInt(count));
  const lostTotal = [...lost.values()].reduce((sum, count) => sum + count, 0n);
  return {
    probe,
    seen: kernel.seen,
    exported: BigInt(exported),
    filtered: kernel.filtered,
    lost,
    lostTotal,
    pending: kernel.seen - BigInt(exported) - kernel.filtered - lostTotal,
  };
}
