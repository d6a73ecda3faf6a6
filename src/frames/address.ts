/**
 * Socket addresses as text.
 */
import type { FrameField, Read } from "./frame-field.ts";

/** Address families as Linux numbers them (include/linux/socket.h). */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** Bytes 0 to 11 of an IPv4-mapped IPv6 address, `::ffff:0:0/96` (RFC 4291 section 2.5.5.2). */
const MAPPED_PREFIX_WORDS = [0, 0, 0, 0, 0, 0xffff] as const;

/** The IPv4 address in the four bytes at `offset`, dotted. */
export function ipv4Text(buffer: Buffer, offset: number): string {
  return `${buffer[offset]}.${buffer[offset + 1]}.${buffer[offset + 2]}.${buffer[offset + 3]}`;
}

/**
 * The IPv6 address in the sixteen bytes at `offset`, in the canonical form of RFC 5952. An IPv4-mapped
 * address is written dotted, without its prefix: it is the address that the peer really has, and the
 * socket's family says that it was used through an IPv6 socket.
 */
export function ipv6Text(buffer: Buffer, offset: number): string {
  const words: number[] = [];
  for (let index = 0; index < 8; index++) words.push(buffer.readUInt16BE(offset + 2 * index));
  if (MAPPED_PREFIX_WORDS.every((word, index) => words[index] === word)) return ipv4Text(buffer, offset + 12);
  const { start, length } = longestZeroRun(words);
  if (length < 2) return words.map(hex).join(":");
  return `${words.slice(0, start).map(hex).join(":")}::${words
    .slice(start + length)
    .map(hex)
    .join(":")}`;
}

function hex(word: number): string {
  return word.toString(16);
}

/** The first of the longest runs of zero words, which RFC 5952 section 4.2.3 says to shorten. */
function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let index = 0; index <= words.length; index++) {
    if (words[index] === 0) continue;
    if (index - start > best.length) best = { start, length: index - start };
    start = index + 1;
  }
  return best;
}

/** The address of `family` at `offset` from the frame's start, as the member of a record. */
export function addressField(member: string, family: Read<number>, offset: number): FrameField {
  return {
    member,
    kind: "text",
    read: (buffer, start, context) =>
      family(buffer, start, context) === AF_INET
        ? ipv4Text(buffer, start + offset)
        : ipv6Text(buffer, start + offset),
  };
}
