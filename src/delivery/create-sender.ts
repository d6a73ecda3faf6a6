/** The sender for a set of options. */
import { createGrpcSender } from "./grpc-sender.ts";
import { createHttpSender } from "./http-sender.ts";
import type { OtlpOptions, RenewalOptions } from "./otlp-options.ts";
import type { Sender } from "./outcome.ts";

/**
 * Makes the sender; TLS files and the headers file are read here, nothing is connected yet. Throws
 * RuntimeEvidenceError `usage`, `not-found`, `not-permitted`, `io` or `limit` when they cannot be used.
 */
export function createSender(options: OtlpOptions, renewal: RenewalOptions = {}): Sender {
  return options.protocol === "grpc"
    ? createGrpcSender(options, renewal)
    : createHttpSender(options, renewal);
}
