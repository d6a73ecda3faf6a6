/**
 * The gate that every request passes, over gRPC and over HTTP: it bounds how many are in flight, because each can
 * hold a whole body in memory, and turns failures of the consumer into answers.
 */
import { status } from "@grpc/grpc-js";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { OnRequest, OtlpRequest, Refusal, Rejection } from "./otlp-request.ts";

/** How long a client that came at the limit should wait before it sends again. */
const RETRY_AFTER_SECONDS = 1;

/** Thrown by the transports to end a request with an answer. */
export class RefusedRequest extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

export class RequestGate {
  readonly #inFlightMax: number;
  readonly #onRequest: OnRequest;
  readonly #onError: (error: unknown) => void;
  /** To be told why, for each request that is answered with a refusal. */
  readonly refused: (reason: string) => void;
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;

  constructor(
    inFlightMax: number,
    onRequest: OnRequest,
    on: { error: (error: unknown) => void; refused: (reason: string) => void },
  ) {
    this.#inFlightMax = inFlightMax;
    this.#onRequest = onRequest;
    this.#onError = on.error;
    this.refused = on.refused;
  }

  /** Takes a place; returns what gives it back (once), or the refusal when all places are taken. */
  enter(): (() => void) | Refusal {
    if (this.#inFlight >= this.#inFlightMax) {
      return {
        httpStatus: 503,
        grpcCode: status.UNAVAILABLE,
        message: `the receiver has ${this.#inFlightMax} requests in flight, its limit; send again later`,
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      };
    }
    this.#inFlight += 1;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#whenIdle?.();
    };
  }

  /** Hands a request on. Never throws: a failure of the consumer is a refusal. */
  async handle(request: OtlpRequest): Promise<Rejection | Refusal | undefined> {
    try {
      return (await this.#onRequest(request)) ?? undefined;
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      if (refusal.httpStatus !== 400) this.#onError(thrown);
      return refusal;
    }
  }

  /** Resolves when no request is in flight. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }
}

/** Whether a result of `handle` or `enter` is a refusal. */
export function isRefusal(result: object | undefined): result is Refusal {
  return result !== undefined && "httpStatus" in result;
}

function refusalOf(thrown: unknown): Refusal {
  const code = thrown instanceof RuntimeEvidenceError ? thrown.code : undefined;
  const message = thrown instanceof Error ? thrown.message : "";
  if (code === "bad-input") return { httpStatus: 400, grpcCode: status.INVALID_ARGUMENT, message };
  if (code === "limit" || code === "io") return { httpStatus: 503, grpcCode: status.UNAVAILABLE, message };
  return { httpStatus: 500, grpcCode: status.INTERNAL, message: "internal error" };
}
