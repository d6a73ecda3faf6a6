/**
 * Logs that Grafana downloads as CSV (its Explore view, "Download logs", and the inspector's data tab): a header
 * of quoted names, then a row per log line with a column per label. A value is quoted where it holds a quote, a
 * newline or the delimiter, which is that of the reader's language. Rows end with CR LF.
 */
import { isUtf8 } from "node:buffer";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseEvidenceJson, stringifyEvidence } from "../evidence/json.ts";
import type { JsonValue } from "../evidence/record.ts";
import { hasMoreValues, VALUE_BYTES_MIN } from "./json-values.ts";
import { type MessageSplitter, overLimitReason, type StoredItem } from "./stored-item.ts";

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Columns that are not labels, by the names that Grafana's versions give them; the first that is there counts. */
const TIME_COLUMNS = ["tsNs", "timestamp", "Time", "Date"];
const LINE_COLUMNS = ["Line", "body", "Message"];
/** The raw table has all labels in one column, as JSON. */
const LABELS_COLUMN = "labels";
/** What evidence has among its labels. */
const TYPE_COLUMN = "runtime_evidence_event_type";

interface Header {
  readonly delimiter: string;
  readonly names: readonly string[];
  readonly time: number;
  readonly line: number;
}

/** Makes of each row what Grafana's download as JSON would have. A row that is none is rejected. */
export class GrafanaCsvSplitter implements MessageSplitter {
  readonly #rowBytesMax: number;
  readonly #valuesMax: number;
  #header: Header | undefined;
  /** Kept bytes of the open row; empty once it is over the limit. */
  #parts: Buffer[] = [];
  #rowBytes = 0;
  #inQuotes = false;
  /** Where the open row starts. */
  #offset = 0;
  #line = 1;
  #newlinesInRow = 0;

  constructor(rowBytesMax: number, valuesMax: number) {
    this.#rowBytesMax = rowBytesMax;
    this.#valuesMax = valuesMax;
  }

  push(chunk: Buffer): StoredItem[] {
    const items: StoredItem[] = [];
    let start = 0;
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index];
      // A quote within quotes is doubled, so that inside and outside change twice.
      if (byte === QUOTE) this.#inQuotes = !this.#inQuotes;
      if (byte !== NEWLINE) continue;
      this.#newlinesInRow += 1;
      if (this.#inQuotes) continue;
      this.#append(chunk.subarray(start, index + 1));
      start = index + 1;
      const item = this.#takeRow();
      if (item !== undefined) items.push(item);
    }
    this.#append(chunk.subarray(start));
    return items;
  }

  /** A last row without its newline may be cut inside a value. */
  end(): StoredItem[] {
    if (this.#rowBytes === 0) return [];
    if (this.#rowBytes > this.#rowBytesMax) return [this.#rejected(this.#overLimit())];
    return [{ kind: "partial-tail", offset: this.#offset, line: this.#line, bytes: this.#rowBytes }];
  }

  #append(bytes: Buffer): void {
    this.#rowBytes += bytes.length;
    if (this.#rowBytes > this.#rowBytesMax) this.#parts = [];
    else if (bytes.length > 0) this.#parts.push(bytes);
  }

  #takeRow(): StoredItem | undefined {
    const item = this.#rowBytes > this.#rowBytesMax ? this.#rejected(this.#overLimit()) : this.#readRow();
    this.#offset += this.#rowBytes;
    this.#line += this.#newlinesInRow;
    this.#parts = [];
    this.#rowBytes = 0;
    this.#newlinesInRow = 0;
    return item;
  }

  #readRow(): StoredItem | undefined {
    const bytes = Buffer.concat(this.#parts);
    if (!isUtf8(bytes)) return this.#rejected("row is not UTF-8");
    const isMarked = this.#offset === 0 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK);
    const text = bytes.toString("utf8", isMarked ? 3 : 0).replace(/\r?\n$/, "");
    // Grafana ends a table with an empty row, and starts one for a spreadsheet with the delimiter.
    if (text === "" || (this.#header === undefined && /^sep=.$/.test(text))) return undefined;
    if (this.#header === undefined) return this.#readHeader(text);
    const cells = readCells(text, this.#header.delimiter);
    const { length } = this.#header.names;
    if (cells.length !== length) return this.#rejected(`row has ${cells.length} values and not ${length}`);
    const row = toRow(this.#header, cells, this.#valuesMax);
    if (row instanceof RuntimeEvidenceError) return this.#rejected(`labels of the row: ${row.message}`);
    const body = Buffer.from(stringifyEvidence(row));
    return { kind: "request", encoding: "grafana", body, offset: this.#offset, line: this.#line };
  }

  #readHeader(text: string): StoredItem | undefined {
    const delimiter = /^"(?:[^"]|"")*"(.)/.exec(text)?.[1] ?? ",";
    const names = readCells(text, delimiter);
    const column = (known: readonly string[]) =>
      known.map((name) => names.indexOf(name)).find((index) => index !== -1) ?? -1;
    this.#header = { delimiter, names, time: column(TIME_COLUMNS), line: column(LINE_COLUMNS) };
    if (names.includes(LABELS_COLUMN) || names.includes(TYPE_COLUMN)) return undefined;
    return this.#rejected(
      "the table has no labels of evidence: download it without hidden columns, or as JSON",
    );
  }

  #overLimit(): string {
    return overLimitReason(this.#rowBytes, this.#rowBytesMax);
  }

  #rejected(reason: string): StoredItem {
    return { kind: "rejected", offset: this.#offset, line: this.#line, reason };
  }
}

/** An empty cell is a label that the row does not have: Loki keeps no empty ones. */
function toRow(
  { names, time, line }: Header,
  cells: readonly string[],
  valuesMax: number,
): JsonValue | RuntimeEvidenceError {
  const labels: (readonly [string, JsonValue])[] = [];
  for (const [index, cell] of cells.entries()) {
    if (cell === "" || index === time || index === line) continue;
    if (names[index] !== LABELS_COLUMN) labels.push([names[index] as string, cell]);
    else {
      const found = labelsOf(cell, valuesMax);
      if (!(found instanceof RuntimeEvidenceError)) labels.push(...found);
      // Else it may be a label of somebody who calls it so.
      else if (!names.includes(TYPE_COLUMN)) return found;
    }
  }
  return { timestamp: cells[time] ?? "", line: cells[line] ?? "", fields: Object.fromEntries(labels) };
}

function labelsOf(json: string, valuesMax: number): [string, JsonValue][] | RuntimeEvidenceError {
  if (json.length > VALUE_BYTES_MIN * valuesMax && hasMoreValues(Buffer.from(json), valuesMax))
    return new RuntimeEvidenceError("bad-input", `more than ${valuesMax} members and items`);
  try {
    const labels = parseEvidenceJson(json);
    if (typeof labels === "object" && labels !== null && !Array.isArray(labels))
      return Object.entries(labels);
    return new RuntimeEvidenceError("bad-input", "not a JSON object");
  } catch (thrown) {
    return RuntimeEvidenceError.from(thrown);
  }
}

function readCells(row: string, delimiter: string): string[] {
  const cells: string[] = [];
  let start = 0;
  for (;;) {
    let end: number;
    if (row[start] === '"') {
      const close = closingQuote(row, start + 1);
      cells.push(row.slice(start + 1, close).replaceAll('""', '"'));
      end = row.indexOf(delimiter, close);
    } else {
      end = row.indexOf(delimiter, start);
      cells.push(row.slice(start, end === -1 ? row.length : end));
    }
    if (end === -1) return cells;
    start = end + 1;
  }
}

function closingQuote(row: string, start: number): number {
  let index = row.indexOf('"', start);
  while (index !== -1 && row[index + 1] === '"') index = row.indexOf('"', index + 2);
  return index === -1 ? row.length : index;
}
