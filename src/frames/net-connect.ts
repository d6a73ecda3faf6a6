/**
 * Where the fields of a net_connect stand in its frame.
 */
import { addressField } from "./address.ts";
import { type FrameField, hasExit, isEntryOnly } from "./frame-field.ts";
import { BODY, i32, u8, u16 } from "./header.ts";
import { ConnectFunction, NET_CONNECT_BODY } from "./layout.gen.ts";

export const connectFunction = u8(BODY + NET_CONNECT_BODY.function.offset);
export const connectFamily = u8(BODY + NET_CONNECT_BODY.family.offset);
/** The errno of the call, 0 for none or unknown. */
export const connectError = i32(BODY + NET_CONNECT_BODY.error.offset);
const succeeded = u8(BODY + NET_CONNECT_BODY.success.offset);

export const CONNECT_SOURCES: readonly string[] = (() => {
  const names: string[] = [];
  names[ConnectFunction.CONNECT] = "uprobe:connect";
  names[ConnectFunction.ACCEPT] = "uprobe:accept";
  names[ConnectFunction.ACCEPT4] = "uprobe:accept4";
  return names;
})();

/** Whether the call is known to have failed. A call under way (EINPROGRESS) has not. */
export function connectFailed(buffer: Buffer, start: number): boolean {
  return !isEntryOnly(buffer, start) && succeeded(buffer, start) === 0;
}

/** The members of `event`, in the order in which a record is rebuilt (`otlp/mapping.ts`). */
export const NET_CONNECT_FIELDS: readonly FrameField[] = [
  addressField("addr", connectFamily, BODY + NET_CONNECT_BODY.addr.offset),
  { member: "port", kind: "int", read: u16(BODY + NET_CONNECT_BODY.port.offset) },
  { member: "fd", kind: "int", read: i32(BODY + NET_CONNECT_BODY.fd.offset) },
  {
    member: "success",
    kind: "bool",
    read: (buffer, start) => succeeded(buffer, start) !== 0,
    when: hasExit,
  },
  {
    member: "error",
    kind: "int",
    read: connectError,
    when: (buffer, start) => !isEntryOnly(buffer, start) && connectError(buffer, start) !== 0,
  },
];
