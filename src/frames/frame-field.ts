/**
 * How to read the v1 fields of a frame: what `to-record.ts` and `capture/encode-frame.ts` are both made from.
 */
import type { FrameContext } from "./context.ts";
import { frameFlags } from "./header.ts";
import { FrameFlag } from "./layout.gen.ts";

/** Reads something of the frame at `start`, with what earlier frames of the stream said. */
export type Read<Value> = (buffer: Buffer, start: number, context: FrameContext) => Value;

/** How to read one v1 field of a frame that starts at `start`. `member` is its name in the record or in `event`. */
export type FrameField =
  /** An integer that fits a number. `when` says whether the record has it at all. */
  | { member: string; kind: "int"; read: Read<number>; when?: Read<boolean> }
  /** An unsigned 64-bit integer at a fixed offset from the frame's start. */
  | { member: string; kind: "u64"; offset: number; when?: Read<boolean> }
  /** The event's time: boot time at a fixed offset, written in the clock of the capture. */
  | { member: string; kind: "time"; offset: number }
  | { member: string; kind: "bool"; read: Read<boolean>; when?: Read<boolean> }
  /** Raw bytes of a string, from `begin` up to `end`. */
  | { member: string; kind: "bytes"; begin: Read<number>; end: Read<number>; when?: Read<boolean> }
  /** One of a few fixed texts; absent when the index is none of them. */
  | { member: string; kind: "choice"; choices: readonly string[]; index: Read<number> }
  /** A text that has to be made, or that an earlier frame said; `isPlain` where it may be other than ASCII. */
  | { member: string; kind: "text"; read: Read<string | undefined>; isPlain?: Read<boolean> }
  /** A list of ASCII texts. */
  | { member: string; kind: "texts"; read: Read<string[] | undefined> };

/** Whether the exits of the function are not probed, so that its result is unknown. */
export function isEntryOnly(buffer: Buffer, start: number): boolean {
  return (frameFlags(buffer, start) & FrameFlag.ENTRY_ONLY) !== 0;
}

/** Whether the result of the function is known. */
export const hasExit: Read<boolean> = (buffer, start) => !isEntryOnly(buffer, start);

/** An address as v1 writes it: lower-case hexadecimal, `0x` in front, no leading zeros. */
export function hexText(buffer: Buffer, at: number): string {
  const hi = buffer.readUInt32LE(at + 4);
  const lo = buffer.readUInt32LE(at).toString(16);
  return hi === 0 ? `0x${lo}` : `0x${hi.toString(16)}${lo.padStart(8, "0")}`;
}

/** Fields that are written next to each other and depend on nothing but a range of the frame. */
export interface RecurringFields {
  readonly members: readonly string[];
  /** From the frame's start, a multiple of four, as is `endOffset`. */
  readonly beginOffset: number;
  readonly endOffset: number;
}
