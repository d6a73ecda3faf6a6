/**
 * Events to v1 NDJSON, without a collector between.
 */
import { stringifyEvidence } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";
import type { FrameContext } from "../frames/context.ts";
import { PROBE_NAMES } from "../frames/control.ts";
import type { FrameEventType } from "../frames/fields.ts";
import { frameProbe } from "../frames/header.ts";
import { toRecord } from "../frames/to-record.ts";
import type { EventSink } from "./event-sink.ts";
import type { LineWriter } from "./line-writer.ts";

/** Output as v1 records, one a line; `onWritten` is told how many of each probe went out. */
export class RecordSink implements EventSink {
  readonly #writer: LineWriter;
  readonly #context: FrameContext;
  readonly #withExtensions: boolean;
  readonly #onWritten: (probe: string, count: number) => void;
  #unwritten = new Map<string, number>();

  constructor(options: {
    writer: LineWriter;
    context: FrameContext;
    /** Adds what is known beyond v1 as a member `extensions`, which v1 allows. */
    withExtensions: boolean;
    onWritten: (probe: string, count: number) => void;
  }) {
    this.#writer = options.writer;
    this.#context = options.context;
    this.#withExtensions = options.withExtensions;
    this.#onWritten = options.onWritten;
  }

  event(type: FrameEventType, buffer: Buffer, start: number): void {
    const { record, extensions } = toRecord(type, buffer, start, this.#context);
    const extended = this.#withExtensions && Object.keys(extensions).length > 0;
    this.#writer.line(
      stringifyEvidence((extended ? { ...record, extensions } : record) as unknown as JsonValue),
    );
    const probe = PROBE_NAMES[frameProbe(buffer, start)] ?? type;
    this.#unwritten.set(probe, (this.#unwritten.get(probe) ?? 0) + 1);
  }

  async ready(): Promise<void> {
    await this.#writer.ready();
    for (const [probe, count] of this.#unwritten) this.#onWritten(probe, count);
    this.#unwritten = new Map();
  }

  async end(): Promise<void> {
    await this.ready();
    await this.#writer.close();
  }
}
