/** A file of length-prefixed OTLP in which evidence, log records of others and repeats of evidence alternate. */
import { closeSync, openSync, writeSync } from "node:fs";
import { delimitedField, encodeAnyValue, encodeKeyValue } from "../../src/otlp/any-value.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { numberedRecord } from "./evidence-files.ts";

const RECORDS_PER_REQUEST = 500;

/** ResourceLogs of a request (field 1), with log records that are no evidence. */
function foreignLogs(count: number): Buffer {
  // LogRecord: body is field 5, attributes are field 6. ScopeLogs.log_records, ResourceLogs.scope_logs: field 2.
  const logRecord = delimitedField(
    2,
    delimitedField(5, encodeAnyValue("GET / 200")),
    encodeKeyValue(6, "log.record.uid", "mine-1"),
    encodeKeyValue(6, "process.pid", 1),
  );
  return delimitedField(1, delimitedField(2, ...new Array<Buffer>(count).fill(logRecord)));
}

export interface MixedFile {
  readonly evidence: number;
  readonly foreign: number;
  readonly duplicates: number;
}

/**
 * Writes `count` records of evidence and as many of others; each hundredth of evidence comes a second time, at
 * once or a few requests later.
 */
export function writeMixedFile(path: string, count: number): MixedFile {
  const file = openSync(path, "w");
  const resources = createResourceSource({ "service.name": "mixed" });
  const builder = new RequestBuilder();
  const foreign = foreignLogs(RECORDS_PER_REQUEST);
  let later: number[] = [];
  let duplicates = 0;
  const encode = (sequence: number) => {
    const meta = { resources, timeUnixNano: 1n, observedTimeUnixNano: 1n, streamId: "mixed", sequence };
    encodeRecord(builder, numberedRecord(sequence), meta);
  };
  const flush = () => {
    const body = Buffer.concat([builder.seal().body, foreign]);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(body.length);
    writeSync(file, prefix);
    writeSync(file, body);
  };
  let requests = 0;
  for (let sequence = 1; sequence <= count; sequence++) {
    encode(sequence);
    if (sequence % 200 === 0) encode(sequence);
    if (sequence % 200 === 100) later.push(sequence);
    if (sequence % 200 === 0 || sequence % 200 === 100) duplicates++;
    if (sequence % RECORDS_PER_REQUEST !== 0) continue;
    requests++;
    if (requests % 7 === 0 || sequence === count) {
      for (const repeat of later) encode(repeat);
      later = [];
    }
    flush();
  }
  closeSync(file);
  return { evidence: count, foreign: requests * RECORDS_PER_REQUEST, duplicates };
}
