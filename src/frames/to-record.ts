/**
 * An event frame as a v1 record and what is known beyond v1.
 */
import { isUtf8 } from "node:buffer";
import type { Extensions } from "../evidence/extensions.ts";
import { type EvidenceRecord, integerFromBigInt, type JsonValue } from "../evidence/record.ts";
import type { FrameContext } from "./context.ts";
import { FRAME_FIELDS, type FrameEventType } from "./fields.ts";
import { type FrameField, isEntryOnly } from "./frame-field.ts";
import { readStack } from "./function-call.ts";
import { BOOT_NS_OFFSET, frameFlags, frameNamespacePid, framePid, START_BOOT_NS_OFFSET } from "./header.ts";
import { FrameFlag, SocketAttribution } from "./layout.gen.ts";
import { SSL_BYTES_OFFSET } from "./ssl-op.ts";
import { tcpAttribution } from "./tcp-state.ts";

/** A decoded event. */
export interface DecodedEvent {
  record: EvidenceRecord;
  extensions: Extensions;
  /** Wall-clock time of the event. */
  timeUnixNano: bigint;
}

/** Where the raw bytes of a string that is not UTF-8 are kept. */
const RAW_MEMBERS: Readonly<Record<string, "pathRaw" | "filenameRaw" | "argv0Raw" | "commRaw">> = {
  path: "pathRaw",
  filename: "filenameRaw",
  argv0: "argv0Raw",
  comm: "commRaw",
};

/**
 * Decodes the frame at `start`, which `checkEventFrame` has found sound.
 *
 * v1 is JSON and so holds Unicode only: bytes that are not UTF-8 become U+FFFD there, and the exact bytes
 * are kept as an extension.
 */
export function toRecord(
  type: FrameEventType,
  buffer: Buffer,
  start: number,
  context: FrameContext,
): DecodedEvent {
  const extensions = readExtensions(type, buffer, start, context);
  const members = (fields: readonly FrameField[]): Record<string, JsonValue> => {
    const values: Record<string, JsonValue> = {};
    for (const field of fields) {
      const value = readField(field, buffer, start, context);
      if (value === undefined) continue;
      values[field.member] = Buffer.isBuffer(value) ? readText(field.member, value, extensions) : value;
    }
    return values;
  };
  const { record, event } = FRAME_FIELDS[type];
  return {
    // Valid by construction: FRAME_FIELDS has what the schema requires, and a test validates its output.
    record: { ...members(record), event: { type, ...members(event) } } as unknown as EvidenceRecord,
    extensions,
    timeUnixNano: context.clock.wall(buffer.readBigUInt64LE(start + BOOT_NS_OFFSET)),
  };
}

function readField(
  field: FrameField,
  buffer: Buffer,
  start: number,
  context: FrameContext,
): JsonValue | Buffer | undefined {
  switch (field.kind) {
    case "int":
    case "bool":
      return field.when?.(buffer, start, context) === false ? undefined : field.read(buffer, start, context);
    case "u64":
      if (field.when?.(buffer, start, context) === false) return undefined;
      return integerFromBigInt(buffer.readBigUInt64LE(start + field.offset));
    case "time": {
      const bootNs = buffer.readBigUInt64LE(start + field.offset);
      return integerFromBigInt(context.clock.type === "boot" ? bootNs : context.clock.wall(bootNs));
    }
    case "bytes":
      if (field.when?.(buffer, start, context) === false) return undefined;
      return buffer.subarray(field.begin(buffer, start, context), field.end(buffer, start, context));
    case "choice":
      return field.choices[field.index(buffer, start, context)];
    case "text":
    case "texts":
      return field.read(buffer, start, context);
  }
}

function readText(member: string, bytes: Buffer, extensions: Extensions): string {
  const raw = RAW_MEMBERS[member];
  if (raw !== undefined && !isUtf8(bytes)) extensions[raw] = bytes.toString("base64");
  return bytes.toString("utf8");
}

function readExtensions(
  type: FrameEventType,
  buffer: Buffer,
  start: number,
  { stackSymbols }: FrameContext,
): Extensions {
  const extensions: Extensions = {};
  const flags = frameFlags(buffer, start);
  if ((flags & FrameFlag.PATH_AT_EXIT) !== 0) extensions.pathRead = "exit";
  if ((flags & FrameFlag.TRUNCATED) !== 0) extensions.truncated = true;
  if (type === "tcp_state") {
    extensions.attribution = tcpAttribution(buffer, start) === SocketAttribution.OWNER ? "owner" : "current";
  }
  if (isEntryOnly(buffer, start)) {
    extensions.entryOnly = true;
    if (type === "ssl_op") {
      extensions.bytesRequested = integerFromBigInt(buffer.readBigUInt64LE(start + SSL_BYTES_OFFSET));
    }
  }
  if (type === "function_call" && stackSymbols.knows(buffer, start)) {
    const symbols = stackSymbols.of(buffer, start, readStack(buffer, start) ?? []);
    if (symbols !== undefined) extensions.stackSymbols = symbols;
  }
  if (type === "process_exec") {
    extensions.startTime = integerFromBigInt(buffer.readBigUInt64LE(start + START_BOOT_NS_OFFSET));
  }
  const namespacePid = frameNamespacePid(buffer, start);
  if (namespacePid !== framePid(buffer, start)) extensions.namespacePid = namespacePid;
  return extensions;
}
