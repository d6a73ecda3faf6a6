/**
 * Answers in the encoding of the request: `ExportLogsServiceResponse` and `google.rpc.Status` (OTLP
 * specification, "Partial Success" and "Failures"; googleapis google/rpc/status.proto).
 */
import type { Rejection, RequestEncoding } from "./otlp-request.ts";

/** `ExportLogsServiceResponse`; without rejection it is the empty message. */
export function exportResponse(encoding: RequestEncoding, rejection: Rejection | undefined): Buffer {
  const { rejectedRecords = 0, message = "" } = rejection ?? {};
  if (rejectedRecords === 0 && message === "") return Buffer.from(encoding === "json" ? "{}" : "");
  if (encoding === "json") {
    // 64-bit integers are strings in protobuf's JSON mapping.
    const partialSuccess = { rejectedLogRecords: String(rejectedRecords), errorMessage: message };
    return Buffer.from(JSON.stringify({ partialSuccess }));
  }
  // partial_success = 1 { int64 rejected_log_records = 1; string error_message = 2 }
  const partial = Buffer.concat([integerField(1, rejectedRecords), bytesField(2, Buffer.from(message))]);
  return bytesField(1, partial);
}

/** `google.rpc.Status`: int32 code = 1; string message = 2. */
export function statusResponse(encoding: RequestEncoding, code: number, message: string): Buffer {
  if (encoding === "json") return Buffer.from(JSON.stringify({ code, message }));
  return Buffer.concat([integerField(1, code), bytesField(2, Buffer.from(message))]);
}

/**
 * `google.rpc.Status` with `google.rpc.RetryInfo`, as it travels in the `grpc-status-details-bin` trailer:
 * the status is worth another try after this time.
 */
export function retryInfoStatus(code: number, message: string, delaySeconds: number): Buffer {
  const duration = integerField(1, delaySeconds);
  const any = Buffer.concat([
    bytesField(1, Buffer.from("type.googleapis.com/google.rpc.RetryInfo")),
    bytesField(2, bytesField(1, duration)),
  ]);
  return Buffer.concat([statusResponse("protobuf", code, message), bytesField(3, any)]);
}

function integerField(number: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([varint(number << 3), varint(value)]);
}

function bytesField(number: number, value: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(value.length), value]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
