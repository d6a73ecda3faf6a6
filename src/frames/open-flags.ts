/**
 * What open(2) flags say. Values are of include/uapi/asm-generic/fcntl.h, which x86-64 and arm64 share for
 * the bits used here.
 */

const O_ACCMODE = 0o3;
const O_CREAT = 0o100;
/** Without O_DIRECTORY, which arm64 numbers otherwise and which O_TMPFILE includes. */
const O_TMPFILE_BIT = 0o20000000;

/** v1 holds the permission, set-id and sticky bits only. */
const MODE_MASK = 0o7777;

export const ACCESS_NAMES = ["read", "write", "read_write", "unknown"] as const;

/** Index into ACCESS_NAMES: the access mode 3 is "unknown", it opens for ioctl(2) only. */
export function accessIndex(flagsLo: number): number {
  return flagsLo & O_ACCMODE;
}

/** Whether `mode` has a meaning: open(2) ignores it unless a file can be created. */
export function hasMode(flagsLo: number): boolean {
  return (flagsLo & (O_CREAT | O_TMPFILE_BIT)) !== 0;
}

/** The mode bits that the kernel itself keeps (`S_IALLUGO` in fs/open.c, build_open_flags). */
export function modeBits(mode: number): number {
  return mode & MODE_MASK;
}
