/** The sender for a set of options. */
import { createGrpcSender } from "./grpc-sender.ts";
import { createHttpSender } from "./http-sender.ts";
import type { OtlpOptions } from "./otlp-options.ts";
import type { Sender } from "./outcome.ts";

/**
 * Makes the sender; TLS files are read here, nothing is connected yet. Throws RuntimeEvidenceError `usage`,
 * `not-found`, `not-permitted` or `io` when they cannot be used.
 */
export function createSender(options: OtlpOptions): Sender {
  return options.protocol === "grpc" ? createGrpcSender(options) : createHttpSender(options);
}
