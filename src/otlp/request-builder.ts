/**
 * Collects log records and seals them as one ExportLogsServiceRequest (logs_service.proto).
 *
 * Records are written straight into one buffer that leaves room at its front. When all of them belong to one
 * resource, the usual case, sealing only puts the header into that room:
 *
 *     | free | ResourceLogs: resource, schema URL, ScopeLogs: scope, schema URL | record | record | ... |
 *
 * Otherwise the runs of records of each resource are copied together. Fields stand in another order than in
 * the .proto file (schema URLs before records), which protobuf allows.
 */

import { LogRecordWriter } from "./log-record-writer.ts";
import { ProtobufWriter, varintSize } from "./protobuf-writer.ts";
import { type EncodedResource, type EncodedScope, encodeScope, evidenceScope } from "./resource.ts";

/**
 * Buffers kept for the next requests. A steady flow takes one for each that comes back; more would only be kept for
 * nothing when a full queue has drained.
 */
const spareBuffersMax = 4;

/** ExportLogsServiceRequest.resource_logs is field 1, ResourceLogs.scope_logs field 2; length-delimited. */
const resourceLogsTag = 0x0a;
const scopeLogsTag = 0x12;

export interface RequestBuilderOptions {
  readonly scope?: EncodedScope;
  /** Size of the buffer at first; it doubles when needed. Default 256 KiB. */
  readonly capacityBytes?: number;
}

/** What `seal` gives; the body is the caller's. */
export interface BuiltRequest {
  readonly body: Buffer;
  readonly recordCount: number;
}

/** Records of one resource that stand one after another. */
interface Run {
  readonly start: number;
  readonly end: number;
}

interface Section {
  readonly resource: EncodedResource;
  readonly runs: Run[];
  recordBytes: number;
}

export class RequestBuilder {
  readonly #scope: EncodedScope;
  readonly #out: ProtobufWriter;
  readonly #records: LogRecordWriter;
  /** In order of first use. */
  #sections = new Map<EncodedResource, Section>();
  #current: Section | undefined;
  #runStart = 0;
  /** Memory that bodies were given away in. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #spare: Buffer[] = [];
  /** Bytes of all sections, without the run that is being written. */
  #closedBytes = 0;

  constructor({
    scope = encodeScope(evidenceScope),
    capacityBytes = 256 * 1024,
  }: RequestBuilderOptions = {}) {
    this.#scope = scope;
    this.#out = new ProtobufWriter(capacityBytes);
    this.#records = new LogRecordWriter(this.#out);
  }

  /** The writer for a record of `resource`. Not to be called between its `begin` and `end`. */
  use(resource: EncodedResource): LogRecordWriter {
    if (this.#current?.resource !== resource) this.#switchTo(resource);
    return this.#records;
  }

  get recordCount(): number {
    return this.#records.recordCount;
  }

  /** Exact size of the body, if it were sealed now. */
  get byteLength(): number {
    const section = this.#current;
    if (section === undefined) return 0;
    const openBytes = this.#out.position - this.#runStart;
    if (openBytes === 0) return this.#closedBytes;
    const { resource, recordBytes } = section;
    const before = this.#sectionBytes(resource, recordBytes);
    return this.#closedBytes - before + this.#sectionBytes(resource, recordBytes + openBytes);
  }

  /** Takes everything collected as one request, and starts anew. Without records the body is empty. */
  seal(): BuiltRequest {
    this.#closeRun();
    const sections = [...this.#sections.values()].filter(({ recordBytes }) => recordBytes > 0);
    const [only] = sections;
    const body =
      sections.length === 1 && only?.runs.length === 1 ? this.#sealInPlace(only) : this.#sealCopied(sections);
    const { recordCount } = this.#records;
    this.#restart();
    return { body, recordCount };
  }

  /**
   * Takes back the body of a request that is over and that nobody will read again: later requests are written over
   * it. Otherwise memory grows with what the garbage collector has not come to yet, which is a lot of requests.
   * Bodies that were made by somebody else are left alone.
   */
  recycle({ buffer }: Buffer): void {
    if (!this.#lent.delete(buffer) || buffer.byteLength < this.#out.buffer.length) return;
    if (this.#spare.length < spareBuffersMax) this.#spare.push(Buffer.from(buffer));
  }

  #switchTo(resource: EncodedResource): void {
    this.#closeRun();
    if (this.#records.recordCount === 0) {
      this.#restart();
      // Tags and lengths of ResourceLogs and ScopeLogs are at most six bytes each.
      const headerBytesMax = resource.bytes.length + this.#scope.bytes.length + 12;
      this.#out.reserve(headerBytesMax);
      this.#out.position = headerBytesMax;
    }
    let section = this.#sections.get(resource);
    if (section === undefined) {
      section = { resource, runs: [], recordBytes: 0 };
      this.#sections.set(resource, section);
    }
    this.#current = section;
    this.#runStart = this.#out.position;
  }

  #closeRun(): void {
    const section = this.#current;
    const end = this.#out.position;
    if (section === undefined || end === this.#runStart) return;
    this.#closedBytes = this.byteLength;
    section.runs.push({ start: this.#runStart, end });
    section.recordBytes += end - this.#runStart;
    this.#runStart = end;
  }

  #scopeLogsBytes(recordBytes: number): number {
    return this.#scope.bytes.length + recordBytes;
  }

  #resourceLogsBytes(resource: EncodedResource, recordBytes: number): number {
    const scopeLogs = this.#scopeLogsBytes(recordBytes);
    return resource.bytes.length + 1 + varintSize(scopeLogs) + scopeLogs;
  }

  #sectionBytes(resource: EncodedResource, recordBytes: number): number {
    if (recordBytes === 0) return 0;
    const resourceLogs = this.#resourceLogsBytes(resource, recordBytes);
    return 1 + varintSize(resourceLogs) + resourceLogs;
  }

  #writeHeader(out: ProtobufWriter, { resource, recordBytes }: Section): void {
    out.byte(resourceLogsTag);
    out.varint(this.#resourceLogsBytes(resource, recordBytes));
    out.bytes(resource.bytes, 0, resource.bytes.length);
    out.byte(scopeLogsTag);
    out.varint(this.#scopeLogsBytes(recordBytes));
    out.bytes(this.#scope.bytes, 0, this.#scope.bytes.length);
  }

  #sealInPlace(section: Section): Buffer {
    const out = this.#out;
    const end = out.position;
    const start = end - this.#sectionBytes(section.resource, section.recordBytes);
    out.position = start;
    this.#writeHeader(out, section);
    out.position = end;
    const { buffer } = out;
    const body = buffer.subarray(start, end);
    if (body.length < buffer.length / 2) {
      // A small body must not keep the whole buffer alive while it waits in a queue.
      const copy = Buffer.allocUnsafeSlow(body.length);
      body.copy(copy);
      return copy;
    }
    this.#lent.add(buffer.buffer);
    out.release(this.#spare.pop() ?? Buffer.allocUnsafeSlow(buffer.length));
    return body;
  }

  #sealCopied(sections: readonly Section[]): Buffer {
    const target = new ProtobufWriter(this.#closedBytes + 8);
    for (const section of sections) {
      this.#writeHeader(target, section);
      for (const { start, end } of section.runs) target.bytes(this.#out.buffer, start, end);
    }
    return target.buffer.subarray(0, target.position);
  }

  #restart(): void {
    this.#out.position = 0;
    this.#runStart = 0;
    this.#closedBytes = 0;
    this.#sections = new Map();
    this.#current = undefined;
    this.#records.restart();
  }
}
