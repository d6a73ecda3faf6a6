/**
 * Where the fields of an ssl_op stand in its frame.
 */
import { type FrameField, hasExit, hexText } from "./frame-field.ts";
import { BODY, u8 } from "./header.ts";
import { SSL_OP_BODY, SslFunction } from "./layout.gen.ts";

export const sslFunction = u8(BODY + SSL_OP_BODY.function.offset);
/** Bytes that were moved; where the exits are not probed, bytes that were asked for. */
export const SSL_BYTES_OFFSET = BODY + SSL_OP_BODY.bytes.offset;

export const SSL_SOURCES: readonly string[] = (() => {
  const names: string[] = [];
  names[SslFunction.READ] = "uprobe:SSL_read";
  names[SslFunction.WRITE] = "uprobe:SSL_write";
  names[SslFunction.READ_EX] = "uprobe:SSL_read_ex";
  names[SslFunction.WRITE_EX] = "uprobe:SSL_write_ex";
  return names;
})();

const OPERATIONS: readonly string[] = (() => {
  const names: string[] = [];
  names[SslFunction.READ] = "read";
  names[SslFunction.WRITE] = "write";
  names[SslFunction.READ_EX] = "read";
  names[SslFunction.WRITE_EX] = "write";
  return names;
})();

/** The members of `event`, in the order of the schema. */
export const SSL_OP_FIELDS: readonly FrameField[] = [
  { member: "operation", kind: "choice", choices: OPERATIONS, index: sslFunction },
  { member: "bytes", kind: "u64", offset: SSL_BYTES_OFFSET, when: hasExit },
  {
    member: "ssl_ptr",
    kind: "text",
    read: (buffer, start) => hexText(buffer, start + BODY + SSL_OP_BODY.ssl_ptr.offset),
  },
];
