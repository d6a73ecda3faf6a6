import type { ByteSource } from "../../src/convert/byte-source.ts";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import { readStoredRequests, type StoredRequestOptions } from "../../src/convert/stored-requests.ts";

/** All items of one input. Bodies are copied, as the reader asks of whoever keeps them; other content is left out. */
export async function collectStored(
  source: ByteSource,
  options?: StoredRequestOptions,
): Promise<StoredItem[]> {
  const items: StoredItem[] = [];
  for await (const batch of readStoredRequests(source, options)) {
    for (const item of batch) {
      if (item.kind === "request") items.push({ ...item, body: Buffer.from(item.body) });
      else {
        const { content: _, ...place } = item;
        items.push(place);
      }
    }
  }
  return items;
}

/** `bytes` as chunks that end at `cuts`, which may be in any order and repeat. */
export async function* chunked(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    yield bytes.subarray(start, end);
    start = end;
  }
}
