/**
 * Where the fields of a function_call stand: in its frame, in the attach point it names, and in what the
 * stream said of its process.
 */
import type { AttachPoint } from "./attach-points.ts";
import { type FrameField, hexText, type Read } from "./frame-field.ts";
import { BODY, u16, u32 } from "./header.ts";
import { FUNCTION_CALL_BODY, FUNCTION_CALL_BODY_SIZE, ProcessRuntime } from "./layout.gen.ts";

const ADDRESS_BYTES = 8;
/** The return addresses, behind the body. */
export const STACK_BEGIN = BODY + FUNCTION_CALL_BODY_SIZE;
const attachPointId = u32(BODY + FUNCTION_CALL_BODY.attach_point.offset);
const stackCount = u16(BODY + FUNCTION_CALL_BODY.stack_count.offset);

const attachPoint: Read<AttachPoint | undefined> = (buffer, start, { attachPoints }) =>
  attachPoints.get(attachPointId(buffer, start));

/** Bytes of the return addresses. */
export const stackBytes = (buffer: Buffer, start: number): number =>
  ADDRESS_BYTES * stackCount(buffer, start);

const RUNTIMES: readonly string[] = (() => {
  const names: string[] = [];
  for (const [name, value] of Object.entries(ProcessRuntime)) names[value] = name.toLowerCase();
  return names;
})();

/** The return addresses; `undefined` when none were taken. */
export function readStack(buffer: Buffer, start: number): string[] | undefined {
  const count = stackCount(buffer, start);
  if (count === 0) return undefined;
  const addresses: string[] = [];
  for (let index = 0; index < count; index++) {
    addresses.push(hexText(buffer, start + STACK_BEGIN + ADDRESS_BYTES * index));
  }
  return addresses;
}

/** The members of `event`, in the order of the schema. */
export const FUNCTION_CALL_FIELDS: readonly FrameField[] = [
  {
    member: "addr",
    kind: "text",
    read: (buffer, start) => hexText(buffer, start + BODY + FUNCTION_CALL_BODY.address.offset),
  },
  {
    member: "symbol",
    kind: "text",
    read: (buffer, start, context) => attachPoint(buffer, start, context)?.symbol,
    isPlain: (buffer, start, context) => attachPoint(buffer, start, context)?.isPlain !== false,
  },
  {
    member: "library",
    kind: "text",
    read: (buffer, start, context) => attachPoint(buffer, start, context)?.library,
  },
  {
    member: "runtime",
    kind: "choice",
    choices: RUNTIMES,
    index: (buffer, start, { runtimes }) => runtimes.get(buffer, start) ?? -1,
  },
  { member: "stack", kind: "texts", read: readStack },
  {
    member: "node_hash",
    kind: "text",
    read: (buffer, start, context) => attachPoint(buffer, start, context)?.nodeHash,
  },
];
