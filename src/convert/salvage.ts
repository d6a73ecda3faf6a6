/** What is left of a stored message that can't be read as a whole. */

import { singleEntries } from "./loki-response.ts";
import type { StoredItem, StoredRequest } from "./stored-item.ts";
import { tornLine } from "./torn-lines.ts";

/**
 * The parts of an unreadable message that may be readable by themselves: whole messages behind a torn one in one
 * line, single entries of a stream of Loki. Nothing where it has no parts.
 */
export function salvage(item: StoredRequest): Iterable<StoredItem> | undefined {
  return item.encoding === "loki" ? singleEntries(item) : tornLine(item);
}
