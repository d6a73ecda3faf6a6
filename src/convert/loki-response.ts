/**
 * Stored answers of Loki's `query_range` (its HTTP API), whole and one after the other:
 *
 *     { "status": "success", "data": { "resultType": "streams", "result": [ { "stream", "values" }, … ], "stats" } }
 *
 * Each element of `result` becomes a request of its own, cut out as it stands.
 */
import { JsonDocumentSplitter } from "./json-document.ts";
import { jsonItems, jsonMembers } from "./json-members.ts";
import type { MessageSplitter, StoredItem, StoredRequest } from "./stored-item.ts";

const NEWLINE = 0x0a;

/** Splits answers into their streams. One without log lines is rejected, and the next one is read. */
export class LokiResponseSplitter implements MessageSplitter {
  readonly #documents: JsonDocumentSplitter;

  constructor(messageBytesMax: number) {
    this.#documents = new JsonDocumentSplitter("loki", messageBytesMax);
  }

  push(chunk: Buffer): StoredItem[] {
    return this.#documents.push(chunk).flatMap(streamsOf);
  }

  end(): StoredItem[] {
    return this.#documents.end().flatMap(streamsOf);
  }
}

function streamsOf(item: StoredItem): readonly StoredItem[] {
  return item.kind === "request" ? cutOut(item) : [item];
}

function cutOut(answer: StoredRequest): readonly StoredItem[] {
  const { body, offset, line = 1 } = answer;
  const data = jsonMembers(body, 0)?.get("data");
  const members = data === undefined ? undefined : jsonMembers(body, data.start);
  const resultType = members?.get("resultType");
  const result = members?.get("result");
  const elements = result === undefined ? undefined : jsonItems(body, result.start);
  if (resultType === undefined || elements === undefined) {
    return [{ kind: "rejected", offset, line, reason: "no answer of Loki's query_range", content: body }];
  }
  if (!body.subarray(resultType.start, resultType.end).equals(STREAMS)) {
    const reason = "an answer of Loki without log lines: its query gives numbers";
    return [{ kind: "rejected", offset, line, reason, content: body }];
  }
  let elementLine = line;
  let counted = 0;
  return elements.map(({ start, end }) => {
    for (; counted < start; counted++) if (body[counted] === NEWLINE) elementLine += 1;
    return { ...answer, body: body.subarray(start, end), offset: offset + start, line: elementLine };
  });
}

const STREAMS = Buffer.from('"streams"');
