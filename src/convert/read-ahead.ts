/** Looks at the first bytes of a source before it is read. */

/** Reads ahead as far as it is asked to; what was read comes again with the rest. */
export class ReadAhead {
  readonly #source: AsyncIterator<Buffer>;
  readonly #chunks: Buffer[] = [];
  #byteCount = 0;
  /** How the source ended, where it did: an error is thrown behind the bytes that came before it. */
  #end: IteratorResult<Buffer> | { readonly thrown: unknown } | undefined;

  constructor(source: AsyncIterator<Buffer>) {
    this.#source = source;
  }

  /**
   * The first `byteCount` bytes, or all where there are fewer, or those that are there once `isEnough` says so: more
   * may be long in coming. Throws only where there are none at all.
   */
  async head(byteCount: number, isEnough: (head: Buffer) => boolean = () => false): Promise<Buffer> {
    while (this.#byteCount < byteCount && this.#end === undefined) {
      if (this.#byteCount > 0 && isEnough(this.#head(byteCount))) break;
      try {
        const next = await this.#source.next();
        if (next.done) {
          this.#end = next;
        } else {
          this.#chunks.push(next.value);
          this.#byteCount += next.value.length;
        }
      } catch (thrown) {
        this.#end = { thrown };
      }
    }
    if (this.#byteCount === 0 && this.#end !== undefined && "thrown" in this.#end) throw this.#end.thrown;
    return this.#head(byteCount);
  }

  #head(byteCount: number): Buffer {
    return Buffer.concat(this.#chunks, Math.min(byteCount, this.#byteCount));
  }

  /** Everything, the head included; can be read once. Closes the source, also when it is not read to its end. */
  async *all(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) yield chunk;
      if (this.#end !== undefined && "thrown" in this.#end) throw this.#end.thrown;
      if (this.#end !== undefined) return;
      for (let next = await this.#source.next(); !next.done; next = await this.#source.next())
        yield next.value;
    } finally {
      await this.#source.return?.();
    }
  }
}
