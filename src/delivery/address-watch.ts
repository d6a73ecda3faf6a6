/**
 * Follows the addresses of a collector's name. A connection that is never idle would otherwise stay for ever with an
 * address that the name no longer has.
 */
import dns from "node:dns";
import { isIP } from "node:net";
import type { RenewalOptions } from "./otlp-options.ts";

/** Default of `addressCheckIntervalMs`. */
export const ADDRESS_CHECK_INTERVAL_MS = 30_000;

export class AddressWatch {
  readonly #hostname: string | undefined;
  readonly #intervalMs: number;
  #addresses: readonly string[] = [];
  #askedMs = Number.NEGATIVE_INFINITY;
  #moved = false;

  /** @param hostname `undefined`, or an address, has nothing to follow */
  constructor(hostname: string | undefined, renewal: RenewalOptions) {
    const isName = hostname !== undefined && isIP(hostname.replace(/^\[|\]$/g, "")) === 0;
    this.#hostname = isName ? hostname : undefined;
    this.#intervalMs = renewal.addressCheckIntervalMs ?? ADDRESS_CHECK_INTERVAL_MS;
  }

  /**
   * True once after an address went away that the name had. Never waits: a lookup that is due runs behind, and a
   * later call tells. A name that cannot be resolved has not moved: the connection may be all there is.
   */
  moved(): boolean {
    this.#askWhenDue();
    const moved = this.#moved;
    this.#moved = false;
    return moved;
  }

  #askWhenDue(): void {
    if (this.#hostname === undefined || performance.now() - this.#askedMs < this.#intervalMs) return;
    this.#askedMs = performance.now();
    dns.lookup(this.#hostname, { all: true }, (error, found) => {
      if (error !== null) return;
      const addresses = found.map(({ address }) => address);
      this.#moved ||= this.#addresses.some((address) => !addresses.includes(address));
      this.#addresses = addresses;
    });
  }
}
