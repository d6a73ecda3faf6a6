/**
 * Cuts an ExportLogsServiceRequest (opentelemetry-proto, logs_service.proto, logs.proto) between its records:
 *
 *     request ─► ResourceLogs { resource, schema URL } ─► ScopeLogs { scope, schema URL } ─► record, record, ...
 *
 * A part holds a run of the records, each with the resource, the scope and the schema URLs that it had. Nothing is
 * encoded anew: records and headers are copied as the bytes they are, unknown fields included.
 */
import { ProtobufReader } from "../otlp/protobuf-reader.ts";
import { putVarint, varintSize } from "../otlp/protobuf-writer.ts";

/** Field 1 of the request, `resource_logs`; field 2 of ResourceLogs, `scope_logs`, and of ScopeLogs, `log_records`. */
const RESOURCE_LOGS_TAG = 0x0a;
const SCOPE_LOGS_TAG = 0x12;
const LOG_RECORD_TAG = 0x12;

/** A ResourceLogs without its scopes, or a ScopeLogs without its records. */
interface Header {
  bytes: Buffer;
}

interface ScopeHeader extends Header {
  readonly resource: Header;
}

/** Where a record stands, its tag and length included: `body[start, end)`. */
interface RecordPlace {
  readonly start: number;
  readonly end: number;
  readonly scope: ScopeHeader;
}

/** Records of one scope that follow each other. */
interface ScopeRun {
  readonly scope: ScopeHeader;
  readonly slices: Buffer[];
}

/** The records of one request, found once and then cut in any way. */
export class SplitRequest {
  readonly #body: Buffer;
  readonly #records: RecordPlace[] = [];
  /** Fields of the request that are not `resource_logs`; they stand in each part. */
  readonly #requestHeader: Buffer;

  /** Throws RuntimeEvidenceError `bad-input` when `body` is no such request. */
  constructor(body: Buffer) {
    this.#body = body;
    const reader = new ProtobufReader(body);
    this.#requestHeader = this.#readMembers(reader, RESOURCE_LOGS_TAG, () => this.#readResourceLogs(reader));
  }

  get recordCount(): number {
    return this.#records.length;
  }

  /** Bytes from the first to the last of these records: a little less than the part that they make. */
  span(from: number, to: number): number {
    return this.#place(to - 1).end - this.#place(from).start;
  }

  /** The record between `from` and `to` that starts the second half of their bytes; neither half is empty. */
  middle(from: number, to: number): number {
    const { start } = this.#place(from);
    const half = this.span(from, to) / 2;
    let middle = from + 1;
    while (middle < to - 1 && this.#place(middle).start - start < half) middle++;
    return middle;
  }

  /** The record that has the byte at `offset` of the request; `undefined` where none has. */
  recordAt(offset: number): number | undefined {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#place(middle).end <= offset) low = middle + 1;
      else high = middle;
    }
    return low < this.#records.length && this.#place(low).start <= offset ? low : undefined;
  }

  /** The request with the records from `from` up to, but not with, `to`. */
  part(from: number, to: number): Buffer {
    const resources: { resource: Header; scopes: Buffer[] }[] = [];
    for (const { scope, slices } of this.#runs(from, to)) {
      if (resources.at(-1)?.resource !== scope.resource) {
        resources.push({ resource: scope.resource, scopes: [] });
      }
      resources.at(-1)?.scopes.push(...delimited(SCOPE_LOGS_TAG, [scope.bytes, ...slices]));
    }
    const logs = resources.flatMap(({ resource, scopes }) =>
      delimited(RESOURCE_LOGS_TAG, [resource.bytes, ...scopes]),
    );
    return Buffer.concat([...logs, this.#requestHeader]);
  }

  /** Neighbours are copied as one slice: most requests have one scope, and so one slice. */
  #runs(from: number, to: number): ScopeRun[] {
    const runs: ScopeRun[] = [];
    for (let index = from; index < to; ) {
      const { start, scope } = this.#place(index);
      let { end } = this.#place(index);
      for (index++; index < to; index++) {
        const next = this.#place(index);
        if (next.scope !== scope || next.start !== end) break;
        end = next.end;
      }
      if (runs.at(-1)?.scope !== scope) runs.push({ scope, slices: [] });
      runs.at(-1)?.slices.push(this.#body.subarray(start, end));
    }
    return runs;
  }

  #place(index: number): RecordPlace {
    return this.#records[index] as RecordPlace;
  }

  #readResourceLogs(reader: ProtobufReader): void {
    const resource: Header = { bytes: Buffer.alloc(0) };
    const outerEnd = reader.enter();
    resource.bytes = this.#readMembers(reader, SCOPE_LOGS_TAG, () => this.#readScopeLogs(reader, resource));
    reader.leave(outerEnd);
  }

  #readScopeLogs(reader: ProtobufReader, resource: Header): void {
    const scope: ScopeHeader = { bytes: Buffer.alloc(0), resource };
    const outerEnd = reader.enter();
    scope.bytes = this.#readMembers(reader, LOG_RECORD_TAG, (start) => {
      reader.skip(LOG_RECORD_TAG);
      this.#records.push({ start, end: reader.position, scope });
    });
    reader.leave(outerEnd);
  }

  /** Calls `read` behind each tag of a member, with where the tag starts; returns all other fields. */
  #readMembers(reader: ProtobufReader, memberTag: number, read: (start: number) => void): Buffer {
    const others: Buffer[] = [];
    while (reader.more) {
      const start = reader.position;
      const tag = reader.tag();
      if (tag === memberTag) read(start);
      else {
        reader.skip(tag);
        others.push(this.#body.subarray(start, reader.position));
      }
    }
    return others.length === 1 ? (others[0] as Buffer) : Buffer.concat(others);
  }
}

/** A length-delimited field, in pieces. */
function delimited(tag: number, pieces: readonly Buffer[]): Buffer[] {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const head = Buffer.alloc(1 + varintSize(length));
  head[0] = tag;
  putVarint(head, 1, length);
  return [head, ...pieces];
}
