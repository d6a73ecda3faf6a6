/** Reads gzip (RFC 1952), several members in a row too, chunk by chunk and in bounded memory. */

import { constants, createGunzip } from "node:zlib";
import { type InflateLimits, inflate } from "./inflate.ts";

/**
 * Compressed bytes given to zlib at once. Deflate expands at most 1,032 times, so one step inflates to at
 * most 17 MB, which is handed on before the next one.
 */
const STEP_BYTES = 16 * 1024;

/** Inflates `source`; see `inflate` for its errors and its limits. */
export function gunzip(
  source: AsyncIterable<Buffer>,
  limits: InflateLimits,
): AsyncGenerator<Buffer, void, undefined> {
  // Z_SYNC_FLUSH on each step: nothing is held back, so a cut input loses no inflated byte.
  const stream = createGunzip({ flush: constants.Z_SYNC_FLUSH, chunkSize: 64 * 1024 });
  return inflate(steps(source), stream, "gzip", limits);
}

async function* steps(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length; start += STEP_BYTES) {
      yield chunk.subarray(start, start + STEP_BYTES);
    }
  }
}
