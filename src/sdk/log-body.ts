/**
 * The body of a log record as one line for people, the same that our own encoder writes.
 */
import type { EvidenceRecord } from "../evidence/record.ts";
import { recordFields } from "../otlp/mapping.ts";
import { bodyTemplates } from "../otlp/projection.ts";

/** A value is cut after this many bytes of UTF-8, at a character's boundary. */
const valueBytesMax = 256;
/** A UTF-16 unit is at most three bytes of UTF-8. */
const shortCharactersMax = Math.floor(valueBytesMax / 3);

/** Members that bodies take from the top of the record; the others are the event's. */
const topMembers: ReadonlySet<string> = new Set(recordFields.map(({ member }) => member));

/** For example `nginx[2311] file_open /etc/ssl/cert.pem (read)`. What the record does not have is left out. */
export function logBody(record: EvidenceRecord): string {
  const top = record as unknown as Readonly<Record<string, unknown>>;
  const event = record.event as unknown as Readonly<Record<string, unknown>>;
  let body = "";
  for (const part of bodyTemplates[record.event.type]) {
    if (typeof part === "string") body += part;
    else {
      const { member, before = "", after = "" } = part;
      const value = shown((topMembers.has(member) ? top : event)[member]);
      if (value !== undefined) body += `${before}${value}${after}`;
    }
  }
  return body;
}

function shown(value: unknown): string | undefined {
  if (typeof value === "bigint" || Number.isInteger(value)) return String(value);
  if (typeof value !== "string") return undefined;
  return cut(value.toWellFormed()).replace(/[\0-\x1f\x7f]/g, "?");
}

function cut(text: string): string {
  if (text.length <= shortCharactersMax) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= valueBytesMax) return text;
  let end = valueBytesMax;
  // A byte 10xxxxxx continues a character: the cut must not stand before one.
  while (((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
