/** Reads zstd (RFC 8878), many frames in a row too, in bounded memory: streams, and single messages. */

import { constants, createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { type InflateLimits, inflate } from "./inflate.ts";
import { ZstdSteps } from "./zstd-steps.ts";

/**
 * Most blocks that are decompressed at once. A block has at most 128 KiB (RFC 8878 section 3.1.1.2), so one
 * step inflates to at most 8 MiB.
 */
const STEP_BLOCKS = 64;

/**
 * The largest window is 64 MiB, which the decompressor holds in memory: more than what `zstd` takes by itself
 * up to level 21. Only level 22 and `--long` go beyond.
 */
const params = { [constants.ZSTD_d_windowLogMax]: 26 };

/** Inflates `source`; see `inflate` for its errors and its limits. */
export function unzstd(
  source: AsyncIterable<Buffer>,
  limits: InflateLimits,
): AsyncGenerator<Buffer, void, undefined> {
  const stream = createZstdDecompress({ params, chunkSize: 64 * 1024 });
  return inflate(steps(source), stream, "zstd", limits);
}

async function* steps(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const frames = new ZstdSteps(STEP_BLOCKS);
  for await (const chunk of source) yield* frames.push(chunk);
}

/** A block of zstd has at most 128 KiB. */
const BLOCK_BYTES_MAX = 128 * 1024;

/** One message, whole; throws where it is damaged, cut or over `messageBytesMax` when decompressed. */
export function unzstdMessage(message: Buffer, messageBytesMax: number): Buffer {
  const frames: Buffer[] = [];
  const steps = new ZstdSteps(Number.POSITIVE_INFINITY);
  let byteCount = 0;
  for (const frame of steps.push(message)) {
    const maxOutputLength = Math.max(1, messageBytesMax - byteCount);
    // In one place from the start: what is put together from chunks takes twice the memory.
    const chunkSize = Math.max(1024, Math.min(steps.stepBlocks * BLOCK_BYTES_MAX, maxOutputLength));
    const inflated = zstdDecompressSync(frame, { params, maxOutputLength, chunkSize });
    byteCount += inflated.length;
    frames.push(inflated);
  }
  return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
}
