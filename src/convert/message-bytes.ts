/** Gathers the bytes of one message that comes in several chunks, up to a limit. */

/**
 * Messages up to here are put together from the chunks. Larger ones are copied as they come, to a place that
 * is used again for the next: chunks that wait to be put together take as much memory once more.
 */
const GATHER_BYTES_MAX = 1024 * 1024;

export class MessageBytes {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #byteCount = 0;
  /** Memory for large messages, of the size of the limit; what is not written takes none. */
  #large: Buffer | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Of the message so far, kept or not. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /** Whether the message is over the limit; nothing of it is kept then. */
  get isOverLimit(): boolean {
    return this.#byteCount > this.#bytesMax;
  }

  append(part: Buffer): void {
    const before = this.#byteCount;
    this.#byteCount += part.length;
    if (this.#byteCount > this.#bytesMax) this.#parts = [];
    else if (before === 0 || this.#byteCount <= GATHER_BYTES_MAX) this.#parts.push(part);
    else this.#copy(part, before);
  }

  /**
   * The message, which is forgotten here; empty where it was over the limit. It shares memory with its
   * chunks, or with the next large message that comes in several chunks.
   */
  take(): Buffer {
    const [first] = this.#parts;
    let message: Buffer;
    if (this.isOverLimit) message = Buffer.alloc(0);
    else if (this.#parts.length === 1) message = first as Buffer;
    else if (this.#parts.length > 1 || this.#large === undefined) message = Buffer.concat(this.#parts);
    else message = this.#large.subarray(0, this.#byteCount);
    this.#byteCount = 0;
    if (first !== undefined) this.#parts = [];
    return message;
  }

  #copy(part: Buffer, start: number): void {
    this.#large ??= Buffer.allocUnsafeSlow(this.#bytesMax);
    let offset = 0;
    for (const gathered of this.#parts) {
      gathered.copy(this.#large, offset);
      offset += gathered.length;
    }
    this.#parts = [];
    part.copy(this.#large, start);
  }
}
