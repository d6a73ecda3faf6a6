/**
 * Log records of any application as OTLP requests, by OpenTelemetry's own serializer, in parts that a receiver
 * takes.
 */
import { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";

/** Protobuf of an ExportLogsServiceRequest. Two of them one after another are one request with both contents. */
export interface LogsPart {
  readonly body: Buffer;
  readonly recordCount: number;
}

export interface SerializedLogs {
  readonly parts: readonly LogsPart[];
  /** Records that the serializer refused, and what it said of the first. */
  readonly refusedCount: number;
  readonly refusal?: unknown;
}

/**
 * Serializes in as few parts of at most `bytesMax` as halving gives; a single larger record is a part of its
 * own. A record that can't be serialized, for example one whose attributes contain themselves, leaves the
 * others alone.
 */
export function serializeLogs(logs: readonly ReadableLogRecord[], bytesMax: number): SerializedLogs {
  const parts: LogsPart[] = [];
  const refusals: unknown[] = [];
  const serialize = (slice: readonly ReadableLogRecord[]): void => {
    if (slice.length === 0) return;
    try {
      const bytes = ProtobufLogsSerializer.serializeRequest([...slice]) ?? new Uint8Array(0);
      if (bytes.byteLength <= bytesMax || slice.length === 1) {
        const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        parts.push({ body, recordCount: slice.length });
        return;
      }
    } catch (thrown) {
      if (slice.length === 1) {
        refusals.push(thrown);
        return;
      }
    }
    const half = slice.length >> 1;
    serialize(slice.slice(0, half));
    serialize(slice.slice(half));
  };
  serialize(logs);
  return { parts, refusedCount: refusals.length, refusal: refusals[0] };
}
