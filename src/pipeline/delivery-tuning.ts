/**
 * How records are delivered, from options to the parts of an outlet.
 */
import { createSender } from "../delivery/create-sender.ts";
import { openDeadLetterFile } from "../delivery/dead-letter-file.ts";
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import type { DeliveryQueueOptions } from "./delivery-queue.ts";
import type { OtlpOutletOptions } from "./otlp-outlet.ts";

/** Every member has a default. */
export interface DeliveryTuning
  extends Pick<
    OtlpOutletOptions,
    "batchBytesMax" | "requestsInFlight" | "lossIntervalMs" | "maxAgeMs" | "onAttempt"
  > {
  queue: DeliveryQueueOptions;
  /** Keep here what a collector will never accept. */
  deadLetterPath?: string | undefined;
}

/** What an outlet needs for delivering; the rest is about what it delivers. */
export type OutletDelivery = Omit<
  OtlpOutletOptions,
  "streamId" | "resource" | "probes" | "books" | "findLosses" | "saysItsCourse" | "beginsWithRecord"
>;

/**
 * Opens files and reads certificates; nothing is connected, and the spool is not opened yet.
 * @throws RuntimeEvidenceError what `createSender` and `openDeadLetterFile` throw
 */
export async function prepareDelivery(
  otlp: OtlpOptions,
  { deadLetterPath, ...tuning }: DeliveryTuning,
  report: (line: string) => void,
): Promise<OutletDelivery> {
  return {
    ...tuning,
    sender: createSender(otlp, { onTrouble: report }),
    batchAgeMaxMs: otlp.batchAgeMaxMs,
    report,
    ...(deadLetterPath !== undefined && {
      deadLetter: await openDeadLetterFile({ path: deadLetterPath, onTrouble: report }),
    }),
  };
}
