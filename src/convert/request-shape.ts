/**
 * Whether bytes have the shape of an OTLP logs request in protobuf (logs_service.proto, logs.proto): fields in each
 * other that end where those around them end, down to those of a log record. Builds nothing, so that it may be asked
 * of every message.
 */

export interface RequestShape {
  /** No field contradicts another one, as far as the bytes go. */
  readonly fits: boolean;
  readonly records: number;
  /** How many fields were looked at. */
  readonly fields: number;
}

/** By level: the field of a request, of resource logs and of scope logs that holds the next level. */
const CHILD_TAGS = [0x0a, 0x12, 0x12];
const DEPTH_OF_RECORD = 3;

/**
 * The shape of a request of `length` bytes, of which `bytes` holds all or the first. Gives up, without a fit, behind
 * `fieldsMax` fields.
 */
export function requestShape(bytes: Buffer, length: number, fieldsMax: number): RequestShape {
  const walk = new Walk(bytes, fieldsMax);
  const fits = walk.fits(length, 0);
  return { fits, records: walk.records, fields: walk.fields };
}

class Walk {
  readonly #bytes: Buffer;
  readonly #fieldsMax: number;
  #position = 0;
  records = 0;
  fields = 0;

  constructor(bytes: Buffer, fieldsMax: number) {
    this.#bytes = bytes;
    this.#fieldsMax = fieldsMax;
  }

  /** Walks the message of level `depth` from the position up to `end`, or to the end of the bytes. */
  fits(end: number, depth: number): boolean {
    const childTag = CHILD_TAGS[depth];
    if (depth === DEPTH_OF_RECORD) {
      this.records++;
      this.#passShortFields(end);
    }
    while (this.#position < end && this.#position < this.#bytes.length) {
      this.fields++;
      if (this.fields > this.#fieldsMax) return false;
      const tag = this.#varint();
      // A request has this one field only.
      if (tag < 8 || (depth === 0 && tag !== childTag)) return this.#isCut(tag);
      const size = this.#sizeOf(tag & 7);
      if (size < 0) return this.#isCut(size);
      const next = this.#position + size;
      if (next > end) return false;
      if (tag === childTag && !this.fits(next, depth + 1)) return false;
      this.#position = next;
    }
    return true;
  }

  /** Passes over fields with a length, tag and length of one byte each: most of what there is, many times as fast. */
  #passShortFields(end: number): void {
    const bytes = this.#bytes;
    let position = this.#position;
    for (let left = this.#fieldsMax - this.fields; left > 0; left--) {
      const tag = bytes[position] as number;
      const size = bytes[position + 1] as number;
      const isShort = (tag & 0x87) === 2 && tag >= 8 && size < 0x80;
      const isFixed = (tag & 0x87) === 1 && tag >= 8;
      const next = isFixed ? position + 9 : position + 2 + size;
      if (!(isShort || isFixed) || next > end) break;
      position = next;
      this.fields++;
    }
    this.#position = position;
  }

  /** Bytes of a field behind its tag and length; a varint is passed over and has none. */
  #sizeOf(wireType: number): number {
    if (wireType === 2) return this.#varint();
    if (wireType === 0) return Math.min(0, this.#varint());
    if (wireType === 1) return 8;
    return wireType === 5 ? 4 : MALFORMED;
  }

  #isCut(value: number): boolean {
    return value === CUT;
  }

  /** At the position, and passes over it: `MALFORMED` for none, `CUT` where the bytes end in it. */
  #varint(): number {
    let value = 0;
    for (let index = 0, factor = 1; index < VARINT_BYTES_MAX; index++, factor *= 128) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined) return CUT;
      if (byte < 0x80) return value + byte * factor;
      value += (byte & 0x7f) * factor;
    }
    return MALFORMED;
  }
}

const VARINT_BYTES_MAX = 10;
const MALFORMED = -1;
const CUT = -2;
