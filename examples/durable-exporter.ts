/**
 * Gives a LoggerProvider durable delivery: what it logs survives a collector that is away, slow or throttling,
 * and what is lost is counted. Evidence and ordinary log records take the same way.
 *
 *   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 node examples/durable-exporter.ts evidence.ndjson
 */
import { readFileSync } from "node:fs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { createEvidenceLogExporter, emitEvidence, parse, validate } from "runtime-evidence";

const [file = "evidence.ndjson"] = process.argv.slice(2);
const exporter = createEvidenceLogExporter({
  compression: "gzip",
  onLoss: ({ records, reason }) => console.error(`lost ${records} records: ${reason}`),
});
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": "my-tool" }),
  processors: [new BatchLogRecordProcessor({ exporter })],
});
const logger = provider.getLogger("my-tool");

logger.emit({ body: "an ordinary log record" });
let emitted = 0;
for (const line of readFileSync(file, "utf8").split("\n")) {
  const result = line === "" ? undefined : validate(parse(line));
  if (!result?.valid) continue;
  emitEvidence(logger, result.record);
  // The processor holds 2048 records and drops what comes beyond them without a word.
  if (++emitted % 2000 === 0) await provider.forceFlush();
}
await provider.shutdown();

const { recordsReceived, recordsAccepted, recordsPending } = exporter.counters();
console.error(`${recordsReceived} exported, ${recordsAccepted} acknowledged, ${recordsPending} pending`);
