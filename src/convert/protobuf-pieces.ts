/** The levels of an OTLP logs request in protobuf (logs_service.proto, logs.proto). */

import { type Field, fieldAt } from "./protobuf-fields.ts";
import { hasMoreProtobufValues } from "./protobuf-values.ts";
import type { Damage, Range, RequestSyntax } from "./request-pieces.ts";

/** By level: `resource_logs`, `scope_logs` and `log_records`. */
const CHILD_FIELDS: readonly number[] = [1, 2, 2];
const DELIMITED = 2;

/** A member is a whole field, tag included, so that members side by side are a message. */
export function protobufSyntax(request: Buffer): RequestSyntax {
  return {
    *own(message, depth) {
      // Nothing else is known of a request.
      if (depth === 0) return;
      for (const field of fieldsOf(request, message, depth)) {
        if ("reason" in field) return;
        if (field.number !== CHILD_FIELDS[depth]) yield field;
      }
    },
    *children(message, depth) {
      for (const field of fieldsOf(request, message, depth)) {
        if ("reason" in field) yield field;
        else if (field.number !== CHILD_FIELDS[depth]) continue;
        else if (field.wireType === DELIMITED) yield field;
        else yield { offset: field.start, reason: `field ${field.number} has wire type ${field.wireType}` };
      }
    },
    isSideBySide: (end, start) => end === start,
    hasMoreValues: (record, valuesMax) => hasMoreProtobufValues(request, record, valuesMax),
    join(depth, own, children) {
      if (depth === 0) return children.flat();
      const content = [...own, ...children.flat()];
      const length = content.reduce((sum, { byteLength }) => sum + byteLength, 0);
      const tag = (CHILD_FIELDS[depth - 1] as number) * 8 + DELIMITED;
      return [Buffer.from([tag, ...varint(length)]), ...content];
    },
  };
}

function* fieldsOf(request: Buffer, { start, end }: Range, depth: number): Generator<Field | Damage> {
  let offset = start;
  if (depth > 0) {
    const message = fieldAt(request, start, end);
    if (typeof message === "string") return;
    offset = message.contentStart;
  }
  while (offset < end) {
    const field = fieldAt(request, offset, end);
    if (typeof field === "string") {
      yield {
        offset,
        reason: field === "malformed" ? "not a protobuf field" : "a field goes beyond its message",
      };
      return;
    }
    yield field;
    offset = field.end;
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
