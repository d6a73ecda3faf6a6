/**
 * The attach points of function_call: what the probe says of each once, before its first event.
 */
import { BODY, frameLength, u16, u32 } from "./header.ts";
import { ATTACH_POINT_BODY, ATTACH_POINT_BODY_SIZE } from "./layout.gen.ts";

/** A function that is probed. What the probe does not know is absent. */
export interface AttachPoint {
  readonly symbol: string | undefined;
  /** Name of the file that has it. */
  readonly library: string | undefined;
  readonly nodeHash: string | undefined;
  /** Whether symbol and library are ASCII without NUL. */
  readonly isPlain: boolean;
}

/** The probe itself refuses more than 10,000 at a time; their ids are not used again. */
export const ATTACH_POINTS_MAX = 65_536;

const STRINGS_BEGIN = BODY + ATTACH_POINT_BODY_SIZE;
const pointId = u32(BODY + ATTACH_POINT_BODY.attach_point.offset);
const symbolLength = u16(BODY + ATTACH_POINT_BODY.symbol_length.offset);
const libraryLength = u16(BODY + ATTACH_POINT_BODY.library_length.offset);
const nodeHashLength = u16(BODY + ATTACH_POINT_BODY.node_hash_length.offset);

/** v1's pattern for `node_hash`. */
const NODE_HASH = /^sha256:[a-f0-9]{64}$/;
const PLAIN = /^[\x01-\x7f]*$/;

/** Attach points by id. */
export class AttachPoints {
  readonly #points = new Map<number, AttachPoint>();

  get(id: number): AttachPoint | undefined {
    return this.#points.get(id);
  }

  /** Takes the attach-point frame at `start`; what is wrong with it, or `undefined`. */
  take(buffer: Buffer, start: number): string | undefined {
    const length = frameLength(buffer, start);
    if (length < STRINGS_BEGIN) return "attach point frame that is too short";
    const symbolEnd = STRINGS_BEGIN + symbolLength(buffer, start);
    const libraryEnd = symbolEnd + libraryLength(buffer, start);
    const nodeHashEnd = libraryEnd + nodeHashLength(buffer, start);
    if (nodeHashEnd > length) return "attach point frame whose texts do not fit";
    const id = pointId(buffer, start);
    if (!this.#points.has(id) && this.#points.size >= ATTACH_POINTS_MAX) {
      return `more than ${ATTACH_POINTS_MAX} attach points`;
    }
    const text = (begin: number, end: number): string | undefined =>
      begin === end ? undefined : buffer.toString("utf8", start + begin, start + end);
    const nodeHash = text(libraryEnd, nodeHashEnd);
    if (nodeHash !== undefined && !NODE_HASH.test(nodeHash)) return "attach point frame with no node hash";
    const symbol = text(STRINGS_BEGIN, symbolEnd);
    const library = text(symbolEnd, libraryEnd);
    const isPlain = PLAIN.test(symbol ?? "") && PLAIN.test(library ?? "");
    this.#points.set(id, { symbol, library, nodeHash, isPlain });
    return undefined;
  }
}
