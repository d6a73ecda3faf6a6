/**
 * v1 records to log records of one stream: which clock, which resource, and whether a store would take them.
 */
import type { EvidenceRecord } from "../evidence/record.ts";
import { decodeRequest } from "../otlp/decode-request.ts";
import { encodeRecord, type RecordMeta } from "../otlp/encode-record.ts";
import { type RecordClock, readRecordTime } from "../otlp/record-clock.ts";
import { RequestBuilder } from "../otlp/request-builder.ts";
import type { EncodedResource, ResourceSource } from "../otlp/resource.ts";
import { type LimitedStore, storeRefusal, textBytesSafe } from "../otlp/store-limits.ts";
import { detectBaseResource } from "./base-resource.ts";
import { nowUnixNano } from "./wall-clock.ts";

export interface EncodingOptions {
  readonly clock: RecordClock;
  /** When the host of the records booted, in nanoseconds since the Unix epoch. */
  readonly bootTimeUnixNano: bigint;
  /** The first part of each `log.record.uid`: printable ASCII, at most 64 characters. */
  readonly streamId: string;
  /**
   * Whether the same records may be sent again under this id: they are numbered by their place in the input then,
   * those that are left out too, so that a record has the same number when others were mended meanwhile.
   */
  readonly isSentAgain?: boolean | undefined;
  /** Refuse what this store would refuse, by its defaults. */
  readonly limits?: LimitedStore | undefined;
}

/** Encodes records one after another. */
export class RecordEncoder {
  readonly #options: EncodingOptions;
  readonly #resources: Readonly<Record<"boot" | "realtime", ResourceSource>>;
  readonly #textBytesSafe: number;
  /** Where records are measured before they are written. */
  readonly #scratch = new RequestBuilder({ capacityBytes: 64 * 1024 });
  #observedTimeUnixNano = 0n;

  constructor(options: EncodingOptions, resources: Readonly<Record<"boot" | "realtime", ResourceSource>>) {
    this.#options = options;
    this.#resources = resources;
    const { boot, realtime } = resources;
    const bases = [boot, realtime].map((source) => source.resourceFor(undefined, undefined).attributes);
    this.#textBytesSafe = Math.min(...bases.map(textBytesSafe));
    this.observe();
  }

  /** Whether `sequence` is a record's place in the input. */
  get numbersByPlace(): boolean {
    return this.#options.isSentAgain === true;
  }

  /** Of a host without containers, for what a stream says about itself. */
  get hostResource(): EncodedResource {
    return this.#resources.realtime.resourceFor(undefined, undefined);
  }

  /** ObservedTimestamp of the records from now on: when they were read. */
  observe(): void {
    this.#observedTimeUnixNano = nowUnixNano();
  }

  /** Why the store would refuse a record whose JSON has `textBytes`; nothing without limits. */
  refusal(record: EvidenceRecord, textBytes: number): string | undefined {
    const { limits } = this.#options;
    if (limits === undefined || textBytes <= this.#textBytesSafe) return undefined;
    encodeRecord(this.#scratch, record, this.#meta(record, Number.MAX_SAFE_INTEGER));
    const [decoded] = decodeRequest(this.#scratch.seal().body);
    return decoded && storeRefusal(limits, decoded);
  }

  /** `sequence` is the record's place in the stream. */
  encode(builder: RequestBuilder, record: EvidenceRecord, sequence: number): void {
    encodeRecord(builder, record, this.#meta(record, sequence));
  }

  #meta(record: EvidenceRecord, sequence: number): RecordMeta {
    const { clock, bootTimeUnixNano, streamId } = this.#options;
    const time = readRecordTime(record.ts_ns, clock, bootTimeUnixNano);
    return {
      resources: this.#resources[time.clock],
      timeUnixNano: time.timeUnixNano,
      observedTimeUnixNano: this.#observedTimeUnixNano,
      streamId,
      sequence,
    };
  }
}

/** An encoder whose resources say what this host is, and what `OTEL_RESOURCE_ATTRIBUTES` says. */
export async function createRecordEncoder(options: EncodingOptions): Promise<RecordEncoder> {
  const source = (clock: "boot" | "realtime") =>
    detectBaseResource(clock, process.env, options.bootTimeUnixNano);
  return new RecordEncoder(options, { boot: await source("boot"), realtime: await source("realtime") });
}
