/**
 * The library. What is exported here follows semantic versioning (docs/library.md); modules below it do not.
 */

// Delivery.
export type { RetryOptions } from "./delivery/retry.ts";
// Records.
export { type ErrorCode, type ErrorContext, RuntimeEvidenceError } from "./evidence/error.ts";
export type { Extensions } from "./evidence/extensions.ts";
export type {
  EventType,
  EvidenceEvent,
  EvidenceRecord,
  FileOpen,
  FunctionCall,
  Integer,
  JsonValue,
  NetConnect,
  ProcessExec,
  SslOp,
  TcpState,
} from "./evidence/record.ts";
export { createValidator, type Validation, type Validator } from "./evidence/validator.ts";

// Log records of OpenTelemetry.
export type { RecordClock } from "./otlp/record-clock.ts";
export type { Reversed } from "./otlp/to-evidence.ts";
export { type EmitEvidenceOptions, emitEvidence } from "./sdk/emit-evidence.ts";
export { parse, stringify, validate } from "./sdk/evidence.ts";
export {
  createEvidenceLogExporter,
  type EvidenceLogExporterOptions,
  openEvidenceLogExporter,
  type SpoolOptions,
} from "./sdk/evidence-log-exporter.ts";
export type {
  EvidenceLogExporter,
  LogExporterCounters,
  LogExporterLimits,
  Loss,
  SuccessWhen,
} from "./sdk/log-exporter-options.ts";
export {
  type EvidenceLogOptions,
  fromLogRecord,
  type LogRecordOptions,
  toLogRecord,
} from "./sdk/log-record.ts";
