/**
 * Reads what a collector answers: `ExportLogsServiceResponse` (or that of metrics) with its partial success, and the
 * `google.rpc.Status` of a failure, in protobuf and in JSON (OTLP specification, "Partial Success").
 */
import { protobufFields } from "./protobuf-fields.ts";

export interface PartialSuccess {
  /** Records the collector has not stored and never will. */
  readonly rejectedRecords: number;
  /** Empty when everything is in order; with 0 rejected records a warning. */
  readonly message: string;
}

/** The same two encodings as the request's. */
export type ResponseEncoding = "protobuf" | "json";

const UNREADABLE: PartialSuccess = {
  rejectedRecords: 0,
  message: "the collector's answer could not be read",
};

/**
 * The partial success of a response body; an empty body is a full success. A body that cannot be read is a
 * success too, with a message: the status said so, and sending again would only duplicate.
 */
export function readPartialSuccess(body: Buffer, encoding: ResponseEncoding): PartialSuccess {
  if (body.length === 0) return { rejectedRecords: 0, message: "" };
  try {
    return encoding === "json" ? fromJson(body) : fromProtobuf(body);
  } catch {
    return UNREADABLE;
  }
}

/**
 * ExportLogsServiceResponse: partial_success = 1 {int64 rejected_log_records = 1; string error_message = 2};
 * ExportMetricsServiceResponse has the same with rejected_data_points.
 */
function fromProtobuf(body: Buffer): PartialSuccess {
  let rejectedRecords = 0;
  let message = "";
  for (const outer of protobufFields(body)) {
    if (outer.number !== 1 || outer.kind !== "bytes") continue;
    for (const field of protobufFields(outer.value)) {
      if (field.number === 1 && field.kind === "integer") {
        rejectedRecords = atLeastZero(Number(BigInt.asIntN(64, field.value)));
      } else if (field.number === 2 && field.kind === "bytes") message = field.value.toString("utf8");
    }
  }
  return { rejectedRecords, message };
}

/** Keys in lowerCamelCase, 64-bit integers as strings or numbers (protobuf's JSON mapping). */
function fromJson(body: Buffer): PartialSuccess {
  const response = JSON.parse(body.toString("utf8")) as { partialSuccess?: unknown } | null;
  const partial = (response?.partialSuccess ?? {}) as {
    rejectedLogRecords?: unknown;
    rejectedDataPoints?: unknown;
    errorMessage?: unknown;
  };
  return {
    rejectedRecords: atLeastZero(Number(partial.rejectedLogRecords ?? partial.rejectedDataPoints ?? 0)),
    message: typeof partial.errorMessage === "string" ? partial.errorMessage : "",
  };
}

/** The message of a `google.rpc.Status` (string message = 2), or the text itself when it is no Status. */
export function readStatusMessage(body: Buffer, contentType: string): string {
  try {
    if (contentType.startsWith("application/x-protobuf")) {
      for (const field of protobufFields(body)) {
        if (field.number === 2 && field.kind === "bytes") return field.value.toString("utf8");
      }
      return "";
    }
    if (contentType.startsWith("application/json")) {
      const status = JSON.parse(body.toString("utf8")) as { message?: unknown } | null;
      if (typeof status?.message === "string") return status.message;
    }
  } catch {
    // Not a Status: shown as text.
  }
  return body.toString("utf8");
}

function atLeastZero(count: number): number {
  return Number.isFinite(count) && count > 0 ? Math.floor(count) : 0;
}
