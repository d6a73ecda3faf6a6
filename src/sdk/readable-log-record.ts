/**
 * Log records of OpenTelemetry's SDK for JavaScript (`ReadableLogRecord` of sdk-logs) in the shape that our
 * decoders give, so that one reverse mapping serves both.
 */
import type { Attributes, HrTime } from "@opentelemetry/api";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { integerFromBigInt } from "../evidence/record.ts";
import { type AnyValue, type AttributeMap, DoubleValue } from "../otlp/any-value.ts";
import { type DecodedLogRecord, emptyLogRecord, valueDepthMax } from "../otlp/decoded-log-record.ts";

const nanosecondsPerSecond = 1_000_000_000n;

/** A log record of the SDK, whoever made it, as our decoders would have read it after a journey. */
export function fromReadable(readable: ReadableLogRecord): DecodedLogRecord {
  const { resource, instrumentationScope: scope, spanContext } = readable;
  const decoded = emptyLogRecord(
    {
      attributes: fromSdkAttributes(resource.attributes),
      droppedAttributesCount: 0,
      schemaUrl: resource.schemaUrl ?? "",
    },
    {
      name: scope.name,
      version: scope.version ?? "",
      attributes: fromSdkAttributes(scope.attributes ?? {}),
      droppedAttributesCount: scope.droppedAttributesCount ?? 0,
      schemaUrl: scope.schemaUrl ?? "",
    },
  );
  decoded.timeUnixNano = fromHrTime(readable.hrTime);
  decoded.observedTimeUnixNano = fromHrTime(readable.hrTimeObserved);
  decoded.severityNumber = readable.severityNumber ?? 0;
  decoded.severityText = readable.severityText ?? "";
  decoded.body = fromSdkValue(readable.body, 0);
  decoded.attributes = fromSdkAttributes(readable.attributes);
  decoded.droppedAttributesCount = readable.droppedAttributesCount;
  decoded.flags = spanContext?.traceFlags ?? 0;
  decoded.traceId = spanContext?.traceId ?? "";
  decoded.spanId = spanContext?.spanId ?? "";
  decoded.eventName = readable.eventName ?? "";
  return decoded;
}

function fromHrTime([seconds, nanoseconds]: HrTime): bigint {
  if (!Number.isFinite(seconds) || !Number.isFinite(nanoseconds)) return 0n;
  return BigInt(Math.trunc(seconds)) * nanosecondsPerSecond + BigInt(Math.trunc(nanoseconds));
}

function fromSdkAttributes(attributes: Attributes): AttributeMap {
  return new Map(Object.entries(attributes).map(([key, value]) => [key, fromSdkValue(value, 0)]));
}

/** As OpenTelemetry's serializers take values. One nested deeper than any decoder reads is left empty. */
function fromSdkValue(value: unknown, depth: number): AnyValue {
  if (typeof value === "string" || typeof value === "boolean" || value instanceof Uint8Array) return value;
  if (typeof value === "number") return fromNumber(value);
  if (typeof value !== "object" || value === null || depth >= valueDepthMax) return null;
  if (Array.isArray(value)) return value.map((item) => fromSdkValue(item, depth + 1));
  return new Map(Object.entries(value).map(([key, item]) => [key, fromSdkValue(item, depth + 1)]));
}

function fromNumber(value: number): AnyValue {
  if (Number.isSafeInteger(value)) return value + 0;
  const isInt64 = Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;
  return isInt64 ? integerFromBigInt(BigInt(value)) : new DoubleValue(value);
}
