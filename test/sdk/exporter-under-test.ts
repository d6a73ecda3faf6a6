/** A log exporter whose collector answers as a test says, and log records for it. */
import assert from "node:assert/strict";
import type { ExportResult } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { createMemoryQueue } from "../../src/delivery/memory-queue.ts";
import type { SealedRequest, SendOutcome } from "../../src/delivery/outcome.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { type LogExporterOptions, startLogExporter } from "../../src/sdk/log-exporter.ts";
import type { EvidenceLogExporter, Loss } from "../../src/sdk/log-exporter-options.ts";
import { ScriptedSender } from "../delivery/sealed.ts";

export const DOWN: SendOutcome = { kind: "retryable", reason: "grpc UNAVAILABLE" };
export const resource = resourceFromAttributes({ "service.name": "app" });
const instrumentationScope = { name: "test" };

export function log(body: string, attributes: ReadableLogRecord["attributes"] = {}): ReadableLogRecord {
  const time: [number, number] = [1, 2];
  return {
    hrTime: time,
    hrTimeObserved: time,
    body,
    resource,
    instrumentationScope,
    attributes,
    droppedAttributesCount: 0,
  };
}

export const logs = (count: number, first = 0, bytes = 0) =>
  Array.from({ length: count }, (_, index) => log(`${first + index}`.padEnd(bytes, "x")));

export interface Started {
  readonly exporter: EvidenceLogExporter;
  readonly sender: ScriptedSender;
  readonly losses: Loss[];
  readonly lines: string[];
  /** Exports, and resolves with the result. */
  give(records: readonly ReadableLogRecord[]): Promise<ExportResult>;
}

export function start(
  answer: ConstructorParameters<typeof ScriptedSender>[0],
  options: Partial<LogExporterOptions> & { queueBytesMax?: number } = {},
): Started {
  const sender = new ScriptedSender(answer);
  const losses: Loss[] = [];
  const lines: string[] = [];
  const exporter = startLogExporter({
    queue: createMemoryQueue({ bytesMax: options.queueBytesMax ?? 1e6 }),
    sender,
    batchAgeMaxMs: 5,
    retry: { initialMs: 5, maxMs: 10, jitter: 0 },
    shutdownTimeoutMs: 200,
    flushTimeoutMs: 200,
    report: (line) => lines.push(line),
    onLoss: (loss) => losses.push(loss),
    ...options,
  });
  const give = (records: readonly ReadableLogRecord[]) =>
    new Promise<ExportResult>((resolve) => exporter.export([...records], resolve));
  return { exporter, sender, losses, lines, give };
}

export const bodies = (requests: readonly SealedRequest[]) =>
  requests
    .flatMap(({ body }) => decodeRequest(body))
    .map((decoded) => String(decoded.body).replace(/x+$/, ""));

export const numbers = (count: number, first = 0) =>
  Array.from({ length: count }, (_, index) => `${first + index}`);

/** received = accepted + lost + pending + spooled, at any moment. */
export function assertBooks(exporter: EvidenceLogExporter): void {
  const { recordsReceived, recordsAccepted, recordsLost, recordsPending, recordsSpooled } =
    exporter.counters();
  const lost = [...recordsLost.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(recordsReceived, recordsAccepted + lost + recordsPending + recordsSpooled);
}
