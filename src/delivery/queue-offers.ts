/** Offers that wait for their turn, first come first served; each can be aborted while it waits. */
import type { SealedRequest } from "./outcome.ts";

/** One offer in the line. It leaves the line when it is accepted or refused. */
export interface WaitingOffer {
  readonly request: SealedRequest;
  /** Accepted, refused or aborted. */
  readonly left: boolean;
  accept(): void;
  refuse(reason: unknown): void;
  /** While it is held, `refuseWaiting` passes it over, and an abort takes effect only when it is let go. */
  hold(): void;
  letGo(): void;
}

export class QueueOffers {
  readonly #line: Offer[] = [];
  readonly #onAborted: () => void;

  /** @param onAborted called after an offer has left because it was aborted: the next one may fit */
  constructor(onAborted: () => void) {
    this.#onAborted = onAborted;
  }

  get first(): WaitingOffer | undefined {
    return this.#line[0];
  }

  /** Waits at the end of the line until accepted; rejects when refused, and with the signal's reason when aborted. */
  join(request: SealedRequest, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const offer = new Offer({
        request,
        signal,
        resolve,
        reject,
        onLeft: () => this.#line.splice(this.#line.indexOf(offer), 1),
        onAborted: this.#onAborted,
      });
      this.#line.push(offer);
    });
  }

  refuseWaiting(reason: () => unknown): void {
    for (const offer of this.#line.filter(({ held }) => !held)) offer.refuse(reason());
  }
}

interface OfferParts {
  readonly request: SealedRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  readonly onLeft: () => void;
  readonly onAborted: () => void;
}

class Offer implements WaitingOffer {
  readonly #parts: OfferParts;
  held = false;
  left = false;

  constructor(parts: OfferParts) {
    this.#parts = parts;
    parts.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  get request(): SealedRequest {
    return this.#parts.request;
  }

  accept(): void {
    if (this.#leave()) this.#parts.resolve();
  }

  refuse(reason: unknown): void {
    if (this.#leave()) this.#parts.reject(reason);
  }

  hold(): void {
    this.held = true;
  }

  letGo(): void {
    this.held = false;
    if (this.#parts.signal?.aborted) this.#abort();
  }

  readonly #abort = () => {
    if (this.held || this.left) return;
    this.refuse(this.#parts.signal?.reason);
    this.#parts.onAborted();
  };

  #leave(): boolean {
    if (this.left) return false;
    this.left = true;
    this.#parts.signal?.removeEventListener("abort", this.#abort);
    this.#parts.onLeft();
    return true;
  }
}
