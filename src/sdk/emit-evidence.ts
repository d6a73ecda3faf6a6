/**
 * Evidence through the Logger of any OpenTelemetry SDK.
 */
import type { Attributes, Context, Logger } from "@opentelemetry/api";
import type { EvidenceRecord } from "../evidence/record.ts";
import { ATTR_RUNTIME_EVIDENCE_RESIDUAL } from "../otlp/attributes.gen.ts";
import { type EvidenceLogOptions, evidenceLog } from "./log-record.ts";

export interface EmitEvidenceOptions extends EvidenceLogOptions {
  /** Whose trace the log record belongs to. Default: the active context, as with any log record. */
  readonly context?: Context | undefined;
}

/**
 * Emits a valid record as one log record. A Logger has one Resource, that of the emitting program, so that the
 * container and the image of the record stand among the log record's attributes. Throws RuntimeEvidenceError
 * `bad-input` when the event has no type of v1.
 */
export function emitEvidence(
  logger: Logger,
  record: EvidenceRecord,
  options: EmitEvidenceOptions = {},
): void {
  const { hrTime, hrTimeObserved, attributes, container, ...content } = evidenceLog(record, options);
  logger.emit({
    ...content,
    timestamp: hrTime,
    observedTimestamp: hrTimeObserved,
    attributes: guardLength({ ...attributes, ...container }),
    ...(options.context === undefined ? {} : { context: options.context }),
  });
}

/**
 * An SDK may cut attribute values at a length (`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`), and nothing says so
 * afterwards. The residual is therefore made the longest value, by blanks at its front: whatever is cut, the
 * residual is cut too, is no JSON any more, and the reader knows.
 */
function guardLength(attributes: Attributes): Attributes {
  let longest = 0;
  for (const key in attributes) {
    const value = attributes[key];
    for (const text of Array.isArray(value) ? value : [value]) {
      if (typeof text === "string" && text.length > longest) longest = text.length;
    }
  }
  const residual = String(attributes[ATTR_RUNTIME_EVIDENCE_RESIDUAL] ?? "{}");
  attributes[ATTR_RUNTIME_EVIDENCE_RESIDUAL] = residual.padStart(longest);
  return attributes;
}
