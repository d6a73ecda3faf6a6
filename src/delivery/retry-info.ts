/**
 * The delay a gRPC server asks for: `google.rpc.RetryInfo` among the details of the `google.rpc.Status` in the
 * `grpc-status-details-bin` trailer (googleapis google/rpc/status.proto, google/rpc/error_details.proto).
 */
import { protobufFields } from "./protobuf-fields.ts";

const RETRY_INFO_TYPE = "google.rpc.RetryInfo";

/**
 * `retry_delay` in milliseconds, 0 when RetryInfo is there without one; `undefined` when there is no RetryInfo
 * or the trailer is not what it claims to be.
 */
export function retryInfoDelayMs(statusDetails: Buffer): number | undefined {
  try {
    // Status: int32 code = 1; string message = 2; repeated Any details = 3.
    for (const detail of bytesFields(statusDetails, 3)) {
      // Any: string type_url = 1 (the type is what follows the last slash); bytes value = 2.
      const typeUrl = bytesFields(detail, 1).at(-1)?.toString("utf8") ?? "";
      if (typeUrl.slice(typeUrl.lastIndexOf("/") + 1) !== RETRY_INFO_TYPE) continue;
      // RetryInfo: Duration retry_delay = 1.
      const duration = bytesFields(bytesFields(detail, 2).at(-1) ?? Buffer.alloc(0), 1).at(-1);
      return duration === undefined ? 0 : durationMs(duration);
    }
  } catch {
    // A trailer that cannot be read asks for nothing.
  }
  return undefined;
}

function bytesFields(message: Buffer, number: number): Buffer[] {
  const values: Buffer[] = [];
  for (const field of protobufFields(message)) {
    if (field.number === number && field.kind === "bytes") values.push(field.value);
  }
  return values;
}

/** Duration: int64 seconds = 1; int32 nanos = 2. Negative ones are 0. */
function durationMs(duration: Buffer): number {
  let ms = 0;
  for (const field of protobufFields(duration)) {
    if (field.kind !== "integer") continue;
    const value = Number(BigInt.asIntN(64, field.value));
    if (field.number === 1) ms += value * 1000;
    else if (field.number === 2) ms += value / 1e6;
  }
  return Math.max(0, ms);
}
