/**
 * Events to v1 NDJSON, without a collector between.
 */
import { stringifyEvidence } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";
import type { FrameContext } from "../frames/context.ts";
import type { FrameEventType } from "../frames/fields.ts";
import { toRecord } from "../frames/to-record.ts";
import type { EventSink } from "./event-sink.ts";
import type { LineWriter } from "./line-writer.ts";

/** Output as v1 records, one a line; `onWritten` and `onLost` are told what became of how many. */
export class RecordSink implements EventSink {
  readonly #writer: LineWriter;
  readonly #context: FrameContext;
  readonly #withExtensions: boolean;
  readonly #onWritten: (probe: string, count: number) => void;
  readonly #onLost: (probe: string, count: number) => void;
  #unwritten = new Map<string, number>();

  constructor(options: {
    writer: LineWriter;
    context: FrameContext;
    /** Adds what is known beyond v1 as a member `extensions`, which v1 allows. */
    withExtensions: boolean;
    onWritten: (probe: string, count: number) => void;
    onLost: (probe: string, count: number) => void;
  }) {
    this.#writer = options.writer;
    this.#context = options.context;
    this.#withExtensions = options.withExtensions;
    this.#onWritten = options.onWritten;
    this.#onLost = options.onLost;
  }

  event(type: FrameEventType, buffer: Buffer, start: number): void {
    const { record, extensions } = toRecord(type, buffer, start, this.#context);
    const extended = this.#withExtensions && Object.keys(extensions).length > 0;
    this.#writer.line(
      stringifyEvidence((extended ? { ...record, extensions } : record) as unknown as JsonValue),
    );
    this.#unwritten.set(type, (this.#unwritten.get(type) ?? 0) + 1);
  }

  async ready(): Promise<void> {
    const settled = this.#unwritten;
    this.#unwritten = new Map();
    try {
      await this.#writer.ready();
    } catch (error) {
      for (const [probe, count] of settled) this.#onLost(probe, count);
      throw error;
    }
    for (const [probe, count] of settled) this.#onWritten(probe, count);
  }

  /** Whoever reads a pipe may take its time; only the process's end cuts it short. */
  abort(): void {}

  async end(): Promise<void> {
    await this.ready();
    await this.#writer.close();
  }
}
