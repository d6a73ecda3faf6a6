/**
 * Log records to a file, in the forms of the Collector's file exporter: one request a line as JSON, or protobuf
 * with its length before it (4 bytes, big-endian).
 */
import { RequestBuilder } from "../otlp/request-builder.ts";
import { requestToJson } from "../otlp/request-json.ts";
import type { LineWriter } from "./line-writer.ts";
import type { RequestOutlet } from "./request-outlet.ts";

export type OtlpFileFormat = "otlp-json" | "otlp-proto";

/** Size of a request before it is written: whoever reads the file holds one at a time. */
const REQUEST_BYTES_AIM = 256 * 1024;
const PREFIX_BYTES = 4;

/** Gathers records into requests and writes them. A record is written when `ready` or `end` has resolved. */
export class OtlpFileOutlet implements RequestOutlet {
  readonly builder = new RequestBuilder();
  readonly #writer: LineWriter;
  readonly #format: OtlpFileFormat;
  #sequence = 0;

  constructor(writer: LineWriter, format: OtlpFileFormat) {
    this.#writer = writer;
    this.#format = format;
  }

  next(): number {
    return ++this.#sequence;
  }

  makeRoom(byteCount: number): void {
    if (this.builder.byteLength + byteCount > 2 * REQUEST_BYTES_AIM) this.#write();
  }

  grown(): void {
    if (this.builder.byteLength >= REQUEST_BYTES_AIM) this.#write();
  }

  ready(): Promise<void> {
    return this.#writer.ready();
  }

  /** Whoever reads a pipe may take its time; only the process's end cuts it short. */
  abort(): void {}

  async end(): Promise<void> {
    this.#write();
    await this.#writer.close();
  }

  #write(): void {
    if (this.builder.recordCount === 0) return;
    const { body } = this.builder.seal();
    if (this.#format === "otlp-json") {
      this.#writer.line(requestToJson(body));
      return;
    }
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(body.length);
    this.#writer.bytes(prefix);
    this.#writer.bytes(body);
  }
}
