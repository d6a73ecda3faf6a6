/**
 * OTLP JSON of a protobuf request, some records at a time: decoded records take up to a hundred times their bytes,
 * and a request of 3.5 MiB must not take that at once, nor keep everything else waiting while it is converted.
 */
import { setImmediate as turn } from "node:timers/promises";
import { requestToJson } from "../otlp/request-json.ts";
import { SplitRequest } from "./split-request.ts";

/** Records that are converted at a time. */
const PIECE_RECORDS = 500;

const START = '{"resourceLogs":[';
const END = "]}";

/**
 * Resource and scope are repeated for each piece, which means the same. Throws `bad-input` when `body` is no
 * ExportLogsServiceRequest.
 */
export async function jsonBody(body: Buffer): Promise<Buffer> {
  const split = new SplitRequest(body);
  if (split.recordCount <= PIECE_RECORDS) return Buffer.from(requestToJson(body));
  const pieces: Buffer[] = [];
  for (let from = 0; from < split.recordCount; from += PIECE_RECORDS) {
    if (from > 0) await turn();
    const piece = requestToJson(split.part(from, Math.min(from + PIECE_RECORDS, split.recordCount)));
    pieces.push(Buffer.from(`${from === 0 ? START : ","}${piece.slice(START.length, -END.length)}`));
  }
  return Buffer.concat([...pieces, Buffer.from(END)]);
}
