/**
 * Where the fields of a file_open stand in its frame.
 */
import type { FrameField, RecurringFields } from "./frame-field.ts";
import { BODY, i32, u8, u16, u32 } from "./header.ts";
import { FILE_OPEN_BODY, FILE_OPEN_BODY_SIZE, OpenHook } from "./layout.gen.ts";
import { ACCESS_NAMES, accessIndex, hasMode, modeBits } from "./open-flags.ts";

export const openHook = u8(BODY + FILE_OPEN_BODY.hook.offset);
const openFlagsLo = u32(BODY + FILE_OPEN_BODY.open_flags.offset);
const openMode = u32(BODY + FILE_OPEN_BODY.mode.offset);
export const PATH_BEGIN = BODY + FILE_OPEN_BODY_SIZE;
export const pathLength = u16(BODY + FILE_OPEN_BODY.path_length.offset);
export const OPEN_SOURCES: readonly string[] = (() => {
  const names: string[] = [];
  names[OpenHook.OPENAT] = "sys_enter_openat";
  names[OpenHook.OPENAT2] = "sys_enter_openat2";
  names[OpenHook.OPEN] = "sys_enter_open";
  names[OpenHook.CREAT] = "sys_enter_creat";
  return names;
})();

/** The members of `event`, in the order of the schema. */
export const FILE_OPEN_FIELDS: readonly FrameField[] = [
  {
    member: "path",
    kind: "bytes",
    begin: (_, start) => start + PATH_BEGIN,
    end: (buffer, start) => start + PATH_BEGIN + pathLength(buffer, start),
  },
  { member: "flags", kind: "u64", offset: BODY + FILE_OPEN_BODY.open_flags.offset },
  {
    member: "access",
    kind: "choice",
    choices: ACCESS_NAMES,
    index: (buffer, start) => accessIndex(openFlagsLo(buffer, start)),
  },
  {
    member: "dfd",
    kind: "int",
    read: i32(BODY + FILE_OPEN_BODY.dfd.offset),
    // open(2) and creat(2) take no directory.
    when: (buffer, start) => openHook(buffer, start) <= OpenHook.OPENAT2,
  },
  {
    member: "mode",
    kind: "int",
    read: (buffer, start) => modeBits(openMode(buffer, start)),
    when: (buffer, start) => hasMode(openFlagsLo(buffer, start)),
  },
];

/** Few combinations of arguments are common; the path's length is no part of them. */
export const OPEN_ARGUMENTS: RecurringFields = {
  members: ["flags", "access", "dfd", "mode"],
  beginOffset: BODY,
  endOffset: BODY + FILE_OPEN_BODY.hook.offset + 4,
};
