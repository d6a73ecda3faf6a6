/**
 * Where the fields of a process_exec stand in its frame.
 */
import type { FrameField } from "./frame-field.ts";
import { BODY, frameFlags, u16, u32 } from "./header.ts";
import { FrameFlag, PROCESS_EXEC_BODY, PROCESS_EXEC_BODY_SIZE } from "./layout.gen.ts";

export const FILENAME_BEGIN = BODY + PROCESS_EXEC_BODY_SIZE;
export const filenameLength = u16(BODY + PROCESS_EXEC_BODY.filename_length.offset);
export const argv0Length = u16(BODY + PROCESS_EXEC_BODY.argv0_length.offset);
const argv0Begin = (buffer: Buffer, start: number): number =>
  start + FILENAME_BEGIN + filenameLength(buffer, start);

/** The members of `event`, in the order of the schema. */
export const PROCESS_EXEC_FIELDS: readonly FrameField[] = [
  {
    member: "filename",
    kind: "bytes",
    begin: (_, start) => start + FILENAME_BEGIN,
    end: argv0Begin,
  },
  { member: "ppid", kind: "int", read: u32(BODY + PROCESS_EXEC_BODY.ppid.offset) },
  {
    member: "argv0",
    kind: "bytes",
    begin: argv0Begin,
    end: (buffer, start) => argv0Begin(buffer, start) + argv0Length(buffer, start),
    when: (buffer, start) => (frameFlags(buffer, start) & FrameFlag.ARGV0_ABSENT) === 0,
  },
];
