/**
 * A running Loki as an input.
 */
import { type LokiReadOptions, readLoki } from "../convert/loki-client.ts";
import type { StoredItem } from "../convert/stored-item.ts";
import type { Reading, StoredInput, StoredLimits } from "./stored-inputs.ts";

/** What a query gives; how much that is, is not known before. */
export function lokiInput(query: LokiReadOptions, limits: StoredLimits = {}): StoredInput {
  const { messageBytesMax, valuesMax } = limits;
  const options = {
    ...query,
    ...(messageBytesMax !== undefined && { answerBytesMax: messageBytesMax }),
    ...(valuesMax !== undefined && { valuesMax }),
  };
  return { name: "Loki", sizeBytes: undefined, open: (reading) => readEntries(options, reading) };
}

async function* readEntries(
  options: LokiReadOptions,
  { onBytes, signal }: Reading,
): AsyncGenerator<readonly StoredItem[], void, undefined> {
  for await (const items of readLoki(signal === undefined ? options : { ...options, signal })) {
    for (const item of items) if (item.kind === "request") onBytes(item.body.length);
    yield items;
  }
}
