/** Reads gzip (RFC 1952), several members in a row too, chunk by chunk and in bounded memory. */

import { constants, createGunzip } from "node:zlib";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/**
 * Compressed bytes given to zlib at once. Deflate expands at most 1,032 times, so one step inflates to at
 * most 17 MB, which is handed on before the next one.
 */
const STEP_BYTES = 16 * 1024;

export interface GunzipLimits {
  /** Most bytes to inflate to from one input; reading ends there with an error of code `limit`. */
  readonly inflatedBytesMax: number;
}

/**
 * Inflates `source`. An input that ends inside a member gives all bytes up to there and then ends, like
 * any cut file. Throws `RuntimeEvidenceError`: `bad-input` where it is no gzip or its checksum is wrong,
 * `limit` at `inflatedBytesMax`; everything inflated before was handed on.
 */
export async function* gunzip(
  source: AsyncIterable<Buffer>,
  { inflatedBytesMax }: GunzipLimits,
): AsyncGenerator<Buffer, void, undefined> {
  const inflater = createInflater();
  let inflatedBytes = 0;
  try {
    for await (const chunk of source) {
      for (let start = 0; start < chunk.length; start += STEP_BYTES) {
        for (const inflated of await inflater.inflate(chunk.subarray(start, start + STEP_BYTES))) {
          inflatedBytes += inflated.length;
          if (inflatedBytes > inflatedBytesMax) {
            const message = `the input inflates to more than ${inflatedBytesMax} bytes`;
            throw new RuntimeEvidenceError("limit", message, { context: { inflatedBytesMax } });
          }
          yield inflated;
        }
      }
    }
  } finally {
    inflater.close();
  }
}

interface Inflater {
  /** What `step` inflates to, all of it. */
  inflate(step: Buffer): Promise<Buffer[]>;
  close(): void;
}

function createInflater(): Inflater {
  // Z_SYNC_FLUSH on each step: nothing is held back, so a cut input loses no inflated byte.
  const stream = createGunzip({ flush: constants.Z_SYNC_FLUSH, chunkSize: 64 * 1024 });
  let inflated: Buffer[] = [];
  let failure: Error | undefined;
  stream.on("data", (chunk: Buffer) => inflated.push(chunk));
  stream.on("error", (error) => {
    failure = error;
  });
  const take = (): Buffer[] => {
    const taken = inflated;
    inflated = [];
    return taken;
  };
  return {
    async inflate(step) {
      if (failure === undefined) {
        await new Promise<void>((resolve) => stream.write(step, () => resolve()));
        // The stream hands on its last data, and an error, in the turn after the write.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      const taken = take();
      if (failure !== undefined && taken.length === 0) throw badGzip(failure);
      return taken;
    },
    close: () => stream.destroy(),
  };
}

function badGzip(cause: Error): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `the input is damaged gzip: ${cause.message}`, { cause });
}
