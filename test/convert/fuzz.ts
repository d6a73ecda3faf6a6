/** Feeds damaged files to all that reads them: whatever comes of it, it is an error of ours or none. */

import type { StoredRequest } from "../../src/convert/stored-item.ts";
import { readStoredRequests, type StoredFormat } from "../../src/convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { parseEvidenceJson } from "../../src/evidence/json.ts";
import { createValidator } from "../../src/evidence/validator.ts";
import { Rebuilder } from "../../src/pipeline/rebuild.ts";
import { chunked } from "./collect.ts";
import { corpus, damage, randomNumbers } from "./stored-corpus.ts";

const TIMEOUT_MS = 10_000;
const CORPUS_FILES_PER_SEED = 500;
const noOutput = {
  bytes: () => {},
  line: () => {},
  ready: async () => {},
  failed: () => false,
  close: async () => {},
};

export interface FuzzCounts {
  /** Files read to their end, and files that ended in an error of ours. */
  whole: number;
  refused: number;
  records: number;
}

/** Reads `count` damaged files. Throws what is not an error of ours, with the seed and the file. */
export async function fuzz(seed: number, count: number): Promise<FuzzCounts> {
  const counts: FuzzCounts = { whole: 0, refused: 0, records: 0 };
  const rebuilder = new Rebuilder({
    output: noOutput,
    withExtensions: true,
    keepDuplicates: true,
    onInvalid: () => {},
  });
  const validate = createValidator();
  const take = (item: StoredRequest) => {
    if (item.encoding === "v1") validate(parseEvidenceJson(item.body.toString()));
    else rebuilder.take(item.encoding, item.body);
  };
  let files = corpus(seed);
  for (let index = 0; index < count; index++) {
    if (index % CORPUS_FILES_PER_SEED === CORPUS_FILES_PER_SEED - 1) files = corpus(seed + index);
    const random = randomNumbers(seed + index);
    const file = files[random(files.length)] as (typeof files)[number];
    const other = files[random(files.length)] as (typeof files)[number];
    const bytes = damage(file.bytes, other.bytes, random);
    const cuts = Array.from({ length: random(4) }, () => random(bytes.length + 1));
    const from = random(2) === 0 ? "auto" : file.format;
    try {
      await within(TIMEOUT_MS, readAll(bytes, cuts, from, take));
      counts.whole += 1;
    } catch (thrown) {
      const place = `seed ${seed + index} (${file.name} as ${from})`;
      if (!(thrown instanceof RuntimeEvidenceError)) throw new Error(place, { cause: thrown });
      counts.refused += 1;
    }
  }
  counts.records = rebuilder.counts.written;
  return counts;
}

async function readAll(
  bytes: Buffer,
  cuts: readonly number[],
  from: StoredFormat | "auto",
  take: (item: StoredRequest) => void,
): Promise<void> {
  for await (const items of readStoredRequests(chunked(bytes, cuts), { from })) {
    for (const item of items) {
      if (!(item.offset >= 0)) throw new Error(`offset ${item.offset}`);
      if (item.kind !== "request") continue;
      try {
        take(item);
      } catch (thrown) {
        if (!(thrown instanceof RuntimeEvidenceError)) throw thrown;
      }
    }
  }
}

async function within(timeoutMs: number, reading: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}
