/**
 * A log record as it came in, whatever its encoding was: protobuf and JSON decode to the same.
 */
import type { AnyValue, AttributeMap } from "./any-value.ts";
import { DecodedAttributes } from "./decoded-attributes.ts";

export interface DecodedResource {
  attributes: AttributeMap;
  droppedAttributesCount: number;
  /** Empty when not given, as all strings here. */
  schemaUrl: string;
}

export interface DecodedScope {
  name: string;
  version: string;
  attributes: AttributeMap;
  droppedAttributesCount: number;
  schemaUrl: string;
}

/** Records of one ResourceLogs or ScopeLogs share the object `resource` or `scope`. */
export interface DecodedLogRecord {
  readonly resource: DecodedResource;
  readonly scope: DecodedScope;
  /** Nanoseconds since the Unix epoch, 0 when unknown. */
  timeUnixNano: bigint;
  observedTimeUnixNano: bigint;
  /** 0 when unspecified, else 1 to 24. */
  severityNumber: number;
  severityText: string;
  body: AnyValue;
  attributes: AttributeMap;
  droppedAttributesCount: number;
  flags: number;
  /** Lower-case hexadecimal, empty when absent. */
  traceId: string;
  spanId: string;
  eventName: string;
}

/** Deepest AnyValue that is decoded: the depth limit of OpenTelemetry's attribute limits. */
export const valueDepthMax = 64;

export function emptyResource(): DecodedResource {
  return { attributes: new DecodedAttributes(), droppedAttributesCount: 0, schemaUrl: "" };
}

export function emptyScope(): DecodedScope {
  return {
    name: "",
    version: "",
    attributes: new DecodedAttributes(),
    droppedAttributesCount: 0,
    schemaUrl: "",
  };
}

export function emptyLogRecord(resource: DecodedResource, scope: DecodedScope): DecodedLogRecord {
  return {
    resource,
    scope,
    timeUnixNano: 0n,
    observedTimeUnixNano: 0n,
    severityNumber: 0,
    severityText: "",
    body: null,
    attributes: new DecodedAttributes(),
    droppedAttributesCount: 0,
    flags: 0,
    traceId: "",
    spanId: "",
    eventName: "",
  };
}
