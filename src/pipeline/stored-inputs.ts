/**
 * Reads what is stored in files, one input after the other: what can't be read is reported, and the rest goes on.
 */
import { openByteSource } from "../convert/byte-source.ts";
import { salvage } from "../convert/salvage.ts";
import type { PartialTail, RejectedMessage, StoredItem, StoredRequest } from "../convert/stored-item.ts";
import {
  readStoredRequests,
  type StoredFormat,
  type StoredRequestOptions,
} from "../convert/stored-requests.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Something to read messages from. */
export interface StoredInput {
  /** For people. */
  readonly name: string;
  /** Undefined where it is not known before it is read. */
  readonly sizeBytes: number | undefined;
  /** The file, "-" for standard input; undefined where it is none. */
  readonly path?: string | undefined;
  open(reading: Reading): AsyncIterable<readonly StoredItem[]>;
}

/** Of one message or record; see `StoredRequestOptions`. */
export type StoredLimits = Pick<StoredRequestOptions, "lineBytesMax" | "messageBytesMax" | "valuesMax">;

/** What whoever reads an input wants to know and to say. */
export interface Reading {
  /** Told of each piece read from where it is stored. */
  onBytes(byteCount: number): void;
  /** Ends a read that waits for more. */
  readonly signal: AbortSignal | undefined;
}

/** What to do with what the inputs hold. What these methods throw ends the reading. */
export interface InputVisitor {
  /** What comes next is of this input. */
  begin?(input: string): void;
  /**
   * Returns why a message can't be read, having taken nothing of it: then it is rejected, or its parts are requests
   * and rejected. May give the input up, and only that, with a RuntimeEvidenceError `bad-input`.
   */
  request(item: StoredRequest, place: string): string | undefined;
  /** A message that is none. */
  rejected(item: RejectedMessage, place: string): void;
  /** The input ends within a message. */
  partialTail(item: PartialTail, place: string): void;
  /** After each piece of an input: resolves when more can be taken. */
  settle(): Promise<void>;
}

/** How far the reading is, over all inputs. Bytes are those that are stored, compressed or not. */
export interface InputProgress {
  bytesRead: number;
  /** Undefined where the size of an input is not known. */
  readonly bytesTotal: number | undefined;
}

export function startProgress(inputs: readonly StoredInput[]): InputProgress {
  const known = inputs.every(({ sizeBytes }) => sizeBytes !== undefined);
  const bytesTotal = known ? inputs.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0) : undefined;
  return { bytesRead: 0, bytesTotal };
}

/** A file, or "-" for standard input. */
export function fileInput(
  { path, sizeBytes }: { readonly path: string; readonly sizeBytes: number | undefined },
  from: StoredFormat | "auto",
  limits: StoredLimits = {},
): StoredInput {
  const isStdin = path === "-";
  return {
    name: isStdin ? "standard input" : path,
    sizeBytes,
    path,
    open: ({ onBytes, signal }) => {
      if (isStdin) signal?.addEventListener("abort", () => process.stdin.destroy(), { once: true });
      return readStoredRequests(counted(isStdin ? process.stdin : path, onBytes), { ...limits, from });
    },
  };
}

async function* counted(
  source: string | AsyncIterable<Buffer>,
  onBytes: (byteCount: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of openByteSource(source)) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/**
 * Visits all messages in order, until the end or until `signal` aborts.
 * @returns the first reason why an input could not be opened or read; all were reported to `report`.
 */
export async function visitInputs(
  inputs: readonly StoredInput[],
  visitor: InputVisitor,
  options: { progress: InputProgress; report: (line: string) => void; signal?: AbortSignal | undefined },
): Promise<RuntimeEvidenceError | undefined> {
  let failure: RuntimeEvidenceError | undefined;
  for (const input of inputs) {
    visitor.begin?.(input.name);
    const thrown = await visitInput(input, visitor, options);
    if (options.signal?.aborted) return failure;
    if (thrown === undefined) continue;
    failure ??= thrown;
    options.report(saysName(thrown, input.name) ? thrown.message : `${input.name}: ${thrown.message}`);
  }
  return failure;
}

/** A file that can't be read is named by its error; the name of another may be a word of it, such as "gz". */
function saysName({ code, message }: RuntimeEvidenceError, name: string): boolean {
  return (code === "not-found" || code === "io") && message.includes(name);
}

/** The error that ended the reading of this input; what a visitor throws is thrown. */
async function visitInput(
  input: StoredInput,
  visitor: InputVisitor,
  { progress, signal }: { progress: InputProgress; signal?: AbortSignal | undefined },
): Promise<RuntimeEvidenceError | undefined> {
  const onBytes = (byteCount: number) => {
    progress.bytesRead += byteCount;
  };
  const pieces = input.open({ onBytes, signal })[Symbol.asyncIterator]();
  try {
    while (!signal?.aborted) {
      let next: IteratorResult<readonly StoredItem[]>;
      try {
        next = await pieces.next();
      } catch (thrown) {
        return RuntimeEvidenceError.from(thrown);
      }
      if (next.done) return undefined;
      const givenUp = visitItems(input.name, next.value, visitor);
      await visitor.settle();
      if (givenUp !== undefined) return givenUp;
    }
    return undefined;
  } finally {
    await pieces.return?.();
  }
}

/** The error with which the visitor has given the input up. */
function visitItems(
  name: string,
  items: readonly StoredItem[],
  visitor: InputVisitor,
): RuntimeEvidenceError | undefined {
  for (const item of items) {
    try {
      visitItem(name, item, visitor, true);
    } catch (thrown) {
      if (thrown instanceof RuntimeEvidenceError && thrown.code === "bad-input") return thrown;
      throw thrown;
    }
  }
  return undefined;
}

function visitItem(name: string, item: StoredItem, visitor: InputVisitor, isWhole: boolean): void {
  const place = item.line === undefined ? `${name}: byte ${item.offset}` : `${name}:${item.line}`;
  if (item.kind !== "request") {
    if (item.kind === "rejected") visitor.rejected(item, place);
    else visitor.partialTail(item, place);
    return;
  }
  const reason = visitor.request(item, place);
  if (reason === undefined) return;
  const parts = isWhole ? salvage(item) : undefined;
  if (parts !== undefined) for (const part of parts) visitItem(name, part, visitor, false);
  else visitor.rejected({ ...item, kind: "rejected", reason, content: item.body }, place);
}

/** What is said of an input that ends within a message, which is normal for a file that is still written. */
export function partialTailText(byteCount: number): string {
  if (byteCount === 0) return "the input is cut: its end is missing";
  return `the input ends within a message; its ${byteCount} bytes were left out`;
}
