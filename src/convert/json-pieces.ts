/** The levels of an OTLP logs request in JSON (opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"). */

import { itemsOf, type KnownEnds, type Member, membersOf } from "./json-members.ts";
import { hasMoreValues } from "./json-values.ts";
import type { RequestSyntax } from "./request-pieces.ts";

/** By level, as they are written and as the Collector reads them too. */
const CHILD_NAMES: readonly (readonly string[])[] = [
  ["resourceLogs", "resource_logs"],
  ["scopeLogs", "scope_logs"],
  ["logRecords", "log_records"],
];
const OPEN_BRACKET = 0x5b;
const SEPARATORS = Buffer.from(", \t\r\n");
const COMMA = Buffer.from(",");
const END = Buffer.from("]}");

/** A child is an object of the array; own members are written as they stand. */
export function jsonSyntax(request: Buffer): RequestSyntax {
  const ends: KnownEnds = new Map();
  const isChildren = ({ name, start }: Member, depth: number) =>
    CHILD_NAMES[depth]?.includes(name) === true && request[start] === OPEN_BRACKET;
  return {
    *own(message, depth) {
      if (depth === 0) return;
      for (const member of membersOf(request, message.start, ends)) {
        if ("reason" in member) return;
        if (!isChildren(member, depth)) yield { start: member.nameStart, end: member.end };
      }
    },
    *children(message, depth) {
      for (const member of membersOf(request, message.start, ends)) {
        if ("reason" in member) yield member;
        else if (isChildren(member, depth)) yield* itemsOf(request, member.start, ends);
      }
    },
    /** Nothing but a comma and whitespace may be between two items of one array. */
    isSideBySide(end, start) {
      for (let index = end; index < start; index++) {
        if (!SEPARATORS.includes(request[index] as number)) return false;
      }
      return true;
    },
    hasMoreValues: ({ start, end }, valuesMax) => hasMoreValues(request.subarray(start, end), valuesMax),
    join(depth, own, children) {
      const before = own.flatMap((member) => [member, COMMA]);
      const items = children.flatMap((child, index) => (index === 0 ? child : [COMMA, ...child]));
      return [Buffer.from("{"), ...before, Buffer.from(`"${CHILD_NAMES[depth]?.[0]}":[`), ...items, END];
    },
  };
}
