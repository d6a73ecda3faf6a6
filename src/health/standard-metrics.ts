/**
 * Metrics that OpenTelemetry's semantic conventions define (docs/otel/sdk-metrics.md, docs/system/process-metrics.md):
 * the registry has their names, and here is the rest. `otel.sdk.processor.log.queue.capacity` is not among them: it
 * counts records, and the queue here is bounded by bytes.
 */
import * as imported from "./metrics.gen.ts";

/** What the registry says of a metric. */
export interface MetricDefinition {
  readonly name: string;
  readonly instrument: "counter" | "updowncounter" | "gauge" | "histogram";
  /** UCUM. */
  readonly unit: string;
  readonly description: string;
}

export const ATTR_SERVICE_VERSION = "service.version";
export const ATTR_SERVICE_INSTANCE_ID = "service.instance.id";
export const ATTR_OTEL_COMPONENT_NAME = "otel.component.name";
export const ATTR_OTEL_COMPONENT_TYPE = "otel.component.type";

export const standardMetrics = {
  queueSize: {
    name: imported.METRIC_OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
    instrument: "updowncounter",
    unit: "{log_record}",
    description: "Records in the queue.",
  },
  processed: {
    name: imported.METRIC_OTEL_SDK_PROCESSOR_LOG_PROCESSED,
    instrument: "counter",
    unit: "{log_record}",
    description: "Records that have left the queue for good, dropped ones with the reason.",
  },
  inflight: {
    name: imported.METRIC_OTEL_SDK_EXPORTER_LOG_INFLIGHT,
    instrument: "updowncounter",
    unit: "{log_record}",
    description: "Records that are being sent.",
  },
  exported: {
    name: imported.METRIC_OTEL_SDK_EXPORTER_LOG_EXPORTED,
    instrument: "counter",
    unit: "{log_record}",
    description: "Records that were sent, those that were not stored with the reason.",
  },
  duration: {
    name: imported.METRIC_OTEL_SDK_EXPORTER_OPERATION_DURATION,
    instrument: "histogram",
    unit: "s",
    description: "Duration of an attempt to send a request.",
  },
  memoryUsage: {
    name: imported.METRIC_PROCESS_MEMORY_USAGE,
    instrument: "updowncounter",
    unit: "By",
    description: "Physical memory of the exporter.",
  },
  uptime: {
    name: imported.METRIC_PROCESS_UPTIME,
    instrument: "gauge",
    unit: "s",
    description: "Time since the exporter was started.",
  },
  cpuTime: {
    name: imported.METRIC_PROCESS_CPU_TIME,
    instrument: "counter",
    unit: "s",
    description: "Processor time that the exporter has used.",
  },
} as const satisfies Record<string, MetricDefinition>;
