/**
 * Makes log records of OpenTelemetry's SDK of v1 records, and v1 records of them again. Between the two they may
 * go through any exporter, processor or Collector.
 *
 *   node examples/log-records.ts evidence.ndjson
 */
import { readFileSync } from "node:fs";
import { fromLogRecord, parse, stringify, toLogRecord, validate } from "runtime-evidence";

const [file = "evidence.ndjson"] = process.argv.slice(2);

for (const line of readFileSync(file, "utf8").split("\n")) {
  const checked = line === "" ? undefined : validate(parse(line));
  if (!checked?.valid) continue;

  const logRecord = toLogRecord(checked.record);
  console.error(`${logRecord.eventName}: ${logRecord.body}`);

  const result = fromLogRecord(logRecord);
  if (result.kind === "evidence") console.log(stringify(result.record));
  else console.error(result.kind === "invalid" ? result.reason : "a log record of somebody else");
}
