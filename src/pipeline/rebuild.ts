/**
 * The way back: stored messages → v1 records, each once, and each validated before it is written.
 */

import { isAscii } from "node:buffer";
import { hasMoreValues, tooManyValues, VALUE_BYTES_MIN, VALUES_MAX_DEFAULT } from "../convert/json-values.ts";
import { SeenRecords } from "../convert/seen-records.ts";
import type { StoredEncoding } from "../convert/stored-item.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { stringifyEvidence } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";
import { createValidator, type Validator } from "../evidence/validator.ts";
import type { AnyValue } from "../otlp/any-value.ts";
import { ATTR_LOG_RECORD_UID } from "../otlp/attributes.gen.ts";
import { decodeJson } from "../otlp/decode-json.ts";
import { decodeGrafanaRow, decodeLoki } from "../otlp/decode-loki.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import type { DecodedLogRecord } from "../otlp/decoded-log-record.ts";
import { createEvidenceLineWriter } from "../otlp/evidence-line.ts";
import { eventTypeKey } from "../otlp/mapping.ts";
import { type Reversed, toEvidence } from "../otlp/to-evidence.ts";
import type { LineWriter } from "./line-writer.ts";
import { inStreamOrder } from "./stream-order.ts";

/** What became of the log records; they add up to all that were read. */
export interface RebuildCounts {
  written: number;
  /** Log records of other applications, passed over. */
  foreign: number;
  /** Loss and stream records, which are no evidence; passed over. */
  control: number;
  /** Ours by their attributes, but no valid v1 record. */
  invalid: number;
  /** Valid, but with a `log.record.uid` that was written before. */
  duplicates: number;
}

export interface RebuilderOptions {
  output: LineWriter;
  /** Gets the invalid records, with their reasons, as NDJSON. */
  rejects?: LineWriter | undefined;
  /** Adds what is known beyond v1 as a member `extensions`, where the record has none of its own. */
  withExtensions: boolean;
  /** Write records again that come again. */
  keepDuplicates: boolean;
  /** Most members and items of JSON in one attribute; more are refused unread. Default {@link VALUES_MAX_DEFAULT}. */
  valuesMax?: number | undefined;
  /** Told about each invalid record: one line with the reason. */
  onInvalid: (reason: string) => void;
  /** Told about each record written, by event type. */
  onRecord?: (type: string) => void;
}

/** Rebuilds records from requests, one request at a time. */
export class Rebuilder {
  readonly counts: RebuildCounts = { written: 0, foreign: 0, control: 0, invalid: 0, duplicates: 0 };
  readonly #options: RebuilderOptions;
  readonly #seen: SeenRecords | undefined;
  /** Only for the long way, which many inputs never need: compiling takes as long as converting 10,000 records. */
  #validate: Validator | undefined;
  readonly #lineOf = createEvidenceLineWriter();
  readonly #valuesMax: number;

  constructor(options: RebuilderOptions) {
    this.#options = options;
    this.#valuesMax = options.valuesMax ?? VALUES_MAX_DEFAULT;
    this.#seen = options.keepDuplicates ? undefined : new SeenRecords();
  }

  /** How often uids had to be forgotten for want of room: a record that came again since then was written again. */
  get forgotten(): number {
    return this.#seen?.forgotten ?? 0;
  }

  /**
   * Takes one request. It is decoded to its end before anything of it is written, so that a request which
   * is refused leaves nothing behind.
   * @returns how many of its records were invalid.
   * @throws RuntimeEvidenceError `bad-input` when it can't be decoded.
   */
  take(encoding: LogEncoding, body: Buffer): number {
    const decoded = inStreamOrder(decodeStored(encoding, body));
    const before = this.counts.invalid;
    const isLarge = body.length > VALUE_BYTES_MIN * this.#valuesMax;
    for (const logRecord of decoded) this.#record(logRecord, isLarge);
    return this.counts.invalid - before;
  }

  /** Attributes may be JSON text, which is parsed when the record is rebuilt. */
  #tooManyValues({ attributes }: DecodedLogRecord): string | undefined {
    for (const [key, value] of attributes) {
      if (typeof value !== "string" || value.length <= VALUE_BYTES_MIN * this.#valuesMax) continue;
      if (hasMoreValues(Buffer.from(value), this.#valuesMax)) return tooManyValues(key, this.#valuesMax);
    }
    return undefined;
  }

  #record(logRecord: DecodedLogRecord, isLarge: boolean): void {
    const { attributes } = logRecord;
    const line = this.#options.withExtensions ? undefined : this.#lineOf(logRecord);
    if (line !== undefined) {
      this.#write(line, attributes.get(eventTypeKey) as string, attributes.get(ATTR_LOG_RECORD_UID));
      return;
    }
    const tooMuch = isLarge ? this.#tooManyValues(logRecord) : undefined;
    if (tooMuch === undefined) this.#rebuild(toEvidence(logRecord));
    else this.#invalid(tooMuch, undefined);
  }

  /** The long way, for what is not plain. */
  #rebuild(result: Reversed): void {
    if (result.kind === "foreign" || result.kind === "control") {
      this.counts[result.kind]++;
      return;
    }
    if (result.kind === "invalid") {
      this.#invalid(result.reason, undefined);
      return;
    }
    this.#validate ??= createValidator();
    const validation = this.#validate(result.record as unknown as JsonValue);
    if (!validation.valid) {
      this.#invalid(validation.errors.join("; "), result.record as unknown as JsonValue);
      return;
    }
    const extended =
      this.#options.withExtensions &&
      Object.keys(result.extensions).length > 0 &&
      // v1 allows a member of this name, and what the record itself says comes first.
      !Object.hasOwn(result.record, "extensions");
    const record = extended ? { ...result.record, extensions: result.extensions } : result.record;
    this.#write(stringifyEvidence(record as unknown as JsonValue), result.record.event.type, result.uid);
  }

  /** Only what is written counts as seen: a sound copy may follow a damaged one. */
  #write(line: string, type: string, uid: AnyValue | undefined): void {
    if (this.#seen !== undefined && typeof uid === "string" && !this.#seen.add(uid)) {
      this.counts.duplicates++;
      return;
    }
    this.#options.output.line(line);
    this.counts.written++;
    this.#options.onRecord?.(type);
  }

  #invalid(reason: string, record: JsonValue | undefined): void {
    this.counts.invalid++;
    this.#options.onInvalid(reason);
    this.#options.rejects?.line(stringifyEvidence({ reason, ...(record === undefined ? {} : { record }) }));
  }
}

/** What is stored of log records; v1 has none. */
export type LogEncoding = Exclude<StoredEncoding, "v1">;

/** The log records of one stored message. Throws `bad-input` when it is none. */
export function decodeStored(encoding: LogEncoding, body: Buffer): readonly DecodedLogRecord[] {
  switch (encoding) {
    case "protobuf":
      return decodeRequest(body);
    case "json":
      return decodeJson(utf8(body));
    case "loki":
      return decodeLoki(utf8(body));
    case "grafana":
      return [decodeGrafanaRow(utf8(body))];
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function utf8(body: Buffer): string {
  // Usual, and ten times as fast.
  if (isAscii(body)) return body.toString("latin1");
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new RuntimeEvidenceError("bad-input", "JSON that is not UTF-8", { cause });
  }
}
