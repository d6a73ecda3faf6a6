/**
 * The header that every frame begins with, and how numbers of a frame are read.
 */
import { FRAME_HEADER, FRAME_HEADER_SIZE } from "./layout.gen.ts";

type ReadNumber = (buffer: Buffer, start: number) => number;

/** Where the body of a frame begins. */
export const BODY = FRAME_HEADER_SIZE;
export const u8 =
  (offset: number): ReadNumber =>
  (buffer, start) =>
    buffer[start + offset] as number;
export const u16 =
  (offset: number): ReadNumber =>
  (buffer, start) =>
    buffer.readUInt16LE(start + offset);
export const u32 =
  (offset: number): ReadNumber =>
  (buffer, start) =>
    buffer.readUInt32LE(start + offset);
export const i32 =
  (offset: number): ReadNumber =>
  (buffer, start) =>
    buffer.readInt32LE(start + offset);

export const frameLength = u32(FRAME_HEADER.length.offset);
export const frameKind = u8(FRAME_HEADER.kind.offset);
export const frameProbe = u8(FRAME_HEADER.probe.offset);
export const frameFlags = u16(FRAME_HEADER.flags.offset);
export const framePid = u32(FRAME_HEADER.pid.offset);
export const frameTid = u32(FRAME_HEADER.tid.offset);
export const frameNamespacePid = u32(FRAME_HEADER.namespace_pid.offset);
export const BOOT_NS_OFFSET = FRAME_HEADER.boot_ns.offset;
export const START_BOOT_NS_OFFSET = FRAME_HEADER.start_boot_ns.offset;
