/**
 * Where the fields of a tcp_state stand in its frame.
 */
import { AF_INET, addressField } from "./address.ts";
import type { FrameField } from "./frame-field.ts";
import { BODY, u8, u16 } from "./header.ts";
import { TCP_STATE_BODY } from "./layout.gen.ts";

/** include/net/tcp_states.h; index 0 is no state. */
export const TCP_STATE_NAMES: readonly string[] = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];
export const tcpOldState = u8(BODY + TCP_STATE_BODY.oldstate.offset);
export const tcpNewState = u8(BODY + TCP_STATE_BODY.newstate.offset);
export const tcpFamily = u8(BODY + TCP_STATE_BODY.family.offset);
export const tcpAttribution = u8(BODY + TCP_STATE_BODY.attribution.offset);

/** The members of `event`, in the order of the schema. */
export const TCP_STATE_FIELDS: readonly FrameField[] = [
  { member: "oldstate", kind: "choice", choices: TCP_STATE_NAMES, index: tcpOldState },
  { member: "newstate", kind: "choice", choices: TCP_STATE_NAMES, index: tcpNewState },
  addressField("daddr", tcpFamily, BODY + TCP_STATE_BODY.daddr.offset),
  { member: "dport", kind: "int", read: u16(BODY + TCP_STATE_BODY.dport.offset) },
  addressField("saddr", tcpFamily, BODY + TCP_STATE_BODY.saddr.offset),
  { member: "sport", kind: "int", read: u16(BODY + TCP_STATE_BODY.sport.offset) },
  {
    member: "family",
    kind: "choice",
    choices: ["inet", "inet6"],
    index: (buffer, start) => (tcpFamily(buffer, start) === AF_INET ? 0 : 1),
  },
];
