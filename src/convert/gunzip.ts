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
 * `limit` at `inflatedBytesMax`. What was inflated before was handed on, but for the step of
 * 16 KiB of compressed bytes with the damage in it: zlib gives nothing of that.
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
        const step = await inflater.inflate(chunk.subarray(start, start + STEP_BYTES));
        for (const inflated of step.inflated) {
          inflatedBytes += inflated.length;
          if (inflatedBytes > inflatedBytesMax) {
            const message = `the input inflates to more than ${inflatedBytesMax} bytes`;
            throw new RuntimeEvidenceError("limit", message, { context: { inflatedBytesMax } });
          }
          yield inflated;
        }
        if (step.failure !== undefined) throw badGzip(step.failure);
      }
    }
  } finally {
    inflater.close();
  }
}

interface Inflater {
  /** What `step` inflates to, all of it, and what is wrong with it. */
  inflate(step: Buffer): Promise<{ inflated: Buffer[]; failure: Error | undefined }>;
  close(): void;
}

function createInflater(): Inflater {
  // Z_SYNC_FLUSH on each step: nothing is held back, so a cut input loses no inflated byte.
  const stream = createGunzip({ flush: constants.Z_SYNC_FLUSH, chunkSize: 64 * 1024 });
  let inflated: Buffer[] = [];
  let failure: Error | undefined;
  stream.on("data", (chunk: Buffer) => inflated.push(chunk));
  const failed = new Promise<void>((resolve) => {
    stream.on("error", (error) => {
      failure = error;
      resolve();
    });
  });
  return {
    async inflate(step) {
      // A write that fails may never call back.
      await Promise.race([new Promise<void>((resolve) => stream.write(step, () => resolve())), failed]);
      // The stream hands on its last data, and an error, in the turn after the write.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const taken = inflated;
      inflated = [];
      return { inflated: taken, failure };
    },
    close: () => stream.destroy(),
  };
}

function badGzip(cause: Error): RuntimeEvidenceError {
  return new RuntimeEvidenceError("bad-input", `the input is damaged gzip: ${cause.message}`, { cause });
}
