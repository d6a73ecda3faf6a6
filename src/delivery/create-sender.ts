/** The sender for a set of options. */
import { createGrpcSender } from "./grpc-sender.ts";
import { createHttpSender } from "./http-sender.ts";
import type { OtlpOptions } from "./otlp-options.ts";
import type { Sender } from "./outcome.ts";

/**
 * Makes the sender; TLS files and the headers file are read here, nothing is connected yet. Throws
 * RuntimeEvidenceError `usage`, `not-found`, `not-permitted`, `io` or `limit` when they cannot be used.
 * @param onTrouble gets one line when one of these files has changed and the new one cannot be used
 */
export function createSender(options: OtlpOptions, onTrouble: (line: string) => void = () => {}): Sender {
  return options.protocol === "grpc"
    ? createGrpcSender(options, onTrouble)
    : createHttpSender(options, onTrouble);
}
