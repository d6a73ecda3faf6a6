/** Runs compressed bytes through a decompressor of zlib step by step, in bounded memory. */

import type { Transform } from "node:stream";
import { finished } from "node:stream/promises";
import { RuntimeEvidenceError } from "../evidence/error.ts";

export interface InflateLimits {
  /** Most bytes to inflate to from one input; reading ends there with an error of code `limit`. */
  readonly inflatedBytesMax: number;
  /** Told where the input ends inside its compression: a file that is still being written, or was cut. */
  readonly onTruncated: () => void;
}

/**
 * Inflates `steps` with `stream`, which it closes. All that one step inflates to is held at once, so the
 * steps have to be small. A cut input gives all bytes up to there. Throws `RuntimeEvidenceError`:
 * `bad-input` where it is not `format` or damaged, `limit` at `inflatedBytesMax`. What was inflated before
 * the damage was handed on, but for the step with the damage in it.
 */
export async function* inflate(
  steps: AsyncIterable<Buffer>,
  stream: Transform,
  format: string,
  { inflatedBytesMax, onTruncated }: InflateLimits,
): AsyncGenerator<Buffer, void, undefined> {
  const inflater = createInflater(stream);
  let inflatedBytes = 0;
  let offset = 0;
  try {
    for await (const step of steps) {
      const { inflated, failure } = await inflater.inflate(step);
      for (const chunk of inflated) {
        inflatedBytes += chunk.length;
        if (inflatedBytes > inflatedBytesMax) {
          const message = `the input inflates to more than ${inflatedBytesMax} bytes`;
          throw new RuntimeEvidenceError("limit", message, { context: { inflatedBytesMax } });
        }
        yield chunk;
      }
      if (failure !== undefined) throw damaged(format, offset, failure.message, failure);
      offset += step.length;
    }
    const failure = await inflater.end();
    if (failure?.code === "Z_BUF_ERROR") onTruncated();
    else if (failure !== undefined) throw damaged(format, offset, failure.message, failure);
  } finally {
    stream.destroy();
  }
}

interface Inflater {
  /** What `step` inflates to, all of it, and what is wrong with it. */
  inflate(step: Buffer): Promise<{ inflated: Buffer[]; failure: Error | undefined }>;
  /** What is wrong with the end; `Z_BUF_ERROR` where it is not there. */
  end(): Promise<NodeJS.ErrnoException | undefined>;
}

function createInflater(stream: Transform): Inflater {
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
    async end() {
      stream.end();
      // The end is looked at behind the last write: that a stream has finished writing says nothing.
      await finished(stream).catch(() => {});
      return failure;
    },
  };
}

/** The error for an input that is not `format`, or damaged: at `offset` of its bytes, or soon behind it. */
export function damaged(
  format: string,
  offset: number,
  reason: string,
  cause?: unknown,
): RuntimeEvidenceError {
  return new RuntimeEvidenceError(
    "bad-input",
    `the input is damaged ${format} at byte ${offset}: ${reason}`,
    {
      context: { byteOffset: offset },
      cause,
    },
  );
}
