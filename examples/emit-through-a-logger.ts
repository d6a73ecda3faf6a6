/**
 * Emits evidence through a Logger of OpenTelemetry's SDK, with OpenTelemetry's own exporter.
 *
 *   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 node examples/emit-through-a-logger.ts evidence.ndjson
 */
import { readFileSync } from "node:fs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { emitEvidence, parse, validate } from "runtime-evidence";

const [file = "evidence.ndjson"] = process.argv.slice(2);
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": "my-tool" }),
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});
const logger = provider.getLogger("my-tool");

let emitted = 0;
for (const line of readFileSync(file, "utf8").split("\n")) {
  const result = line === "" ? undefined : validate(parse(line));
  if (!result?.valid) continue;
  emitEvidence(logger, result.record);
  // The processor holds 2048 records and drops what comes beyond them without a word.
  if (++emitted % 2000 === 0) await provider.forceFlush();
}
await provider.shutdown();
console.error(`emitted ${emitted} records`);
