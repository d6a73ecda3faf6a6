/** Requests whose every byte can be foretold from their number, for tests that find them again. */
import type { SealedRequest } from "../../src/delivery/outcome.ts";

const BODY_BYTES_MAX = 60_000;

/** Request `number`, from 1: as many records as its number, a body of some pseudo-random size. */
export function spooledRequest(number: number): SealedRequest {
  return {
    body: Buffer.alloc(1 + ((Math.imul(number, 2654435761) >>> 0) % BODY_BYTES_MAX), `${number},`),
    recordCount: number,
    sealedAtUnixMs: number,
    streamId: "00ff",
    firstSequence: number * 10,
    lastSequence: number * 10 + 9,
    recordsByProbe: new Map([["file_open", number]]),
  };
}
