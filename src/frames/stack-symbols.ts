/**
 * What is at the addresses of stacks: what the probe says of each address of a process image, before the first
 * stack with it.
 */
import { hexText } from "./frame-field.ts";
import { BODY, frameLength, framePid, START_BOOT_NS_OFFSET, u16, u32 } from "./header.ts";
import { SYMBOL_BODY, SYMBOL_BODY_SIZE } from "./layout.gen.ts";

interface ProcessImage {
  readonly startLo: number;
  readonly startHi: number;
  /** By address, as hexadecimal text. */
  readonly texts: Map<string, string>;
}

/** The probe says everything again after as many symbols, so that none is missed that it believes known. */
const RECENT_MAX = 32_768;

const textLength = u16(BODY + SYMBOL_BODY.text_length.offset);
const startLo = u32(START_BOOT_NS_OFFSET);
const startHi = u32(START_BOOT_NS_OFFSET + 4);

/**
 * Symbols by process and address. Two generations: when as many as `recentMax` were said, the young one becomes
 * the old one, and the old one is forgotten.
 */
export class StackSymbols {
  #young = new Map<number, ProcessImage>();
  #old = new Map<number, ProcessImage>();
  #recent = 0;
  readonly #recentMax: number;

  constructor(recentMax = RECENT_MAX) {
    this.#recentMax = recentMax;
  }

  /** Whether anything is known of the process of the event at `start`. */
  knows(buffer: Buffer, start: number): boolean {
    return image(this.#young, buffer, start) !== undefined || image(this.#old, buffer, start) !== undefined;
  }

  /**
   * What is at these addresses in the process of the event at `start`, an empty string where it is not known;
   * `undefined` when none is.
   */
  of(buffer: Buffer, start: number, addresses: readonly string[]): string[] | undefined {
    const young = image(this.#young, buffer, start)?.texts;
    const old = image(this.#old, buffer, start)?.texts;
    const texts = addresses.map((address) => young?.get(address) ?? old?.get(address) ?? "");
    return texts.some((text) => text !== "") ? texts : undefined;
  }

  /** Takes the symbol frame at `start`; what is wrong with it, or `undefined`. */
  take(buffer: Buffer, start: number): string | undefined {
    const begin = BODY + SYMBOL_BODY_SIZE;
    const length = frameLength(buffer, start);
    if (length < begin) return "symbol frame that is too short";
    const end = begin + textLength(buffer, start);
    if (end > length) return "symbol frame whose text does not fit";
    if (this.#recent >= this.#recentMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#recent = 0;
    }
    this.#recent++;
    let known = image(this.#young, buffer, start);
    if (known === undefined) {
      known = { startLo: startLo(buffer, start), startHi: startHi(buffer, start), texts: new Map() };
      this.#young.set(framePid(buffer, start), known);
    }
    const address = hexText(buffer, start + BODY + SYMBOL_BODY.address.offset);
    known.texts.set(address, buffer.toString("utf8", start + begin, start + end));
    return undefined;
  }

  /** A new image of the process of the frame at `start` begins: nothing of the old one is there any more. */
  forget(buffer: Buffer, start: number): void {
    const pid = framePid(buffer, start);
    this.#young.delete(pid);
    this.#old.delete(pid);
  }
}

function image(
  generation: ReadonlyMap<number, ProcessImage>,
  buffer: Buffer,
  start: number,
): ProcessImage | undefined {
  if (generation.size === 0) return undefined;
  const found = generation.get(framePid(buffer, start));
  if (found === undefined) return undefined;
  const isSame = found.startLo === startLo(buffer, start) && found.startHi === startHi(buffer, start);
  return isSame ? found : undefined;
}
