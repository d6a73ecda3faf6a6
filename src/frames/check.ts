/**
 * Whether an event frame holds together, so that nothing behind this point has to ask again.
 */

import { PROBE_NAMES } from "./control.ts";
import {
  AF_INET,
  AF_INET6,
  argv0Length,
  FILENAME_BEGIN,
  type FrameEventType,
  filenameLength,
  frameLength,
  framePid,
  frameProbe,
  frameTid,
  OPEN_SOURCES,
  openHook,
  PATH_BEGIN,
  pathLength,
  TCP_STATE_NAMES,
  tcpFamily,
  tcpNewState,
  tcpOldState,
} from "./fields.ts";
import { FRAME_ALIGN, FRAME_HEADER_SIZE, TCP_STATE_BODY_SIZE } from "./layout.gen.ts";

/** What is wrong with the frame at `start`, or `undefined` when every field of it can be read and is valid v1. */
export function checkEventFrame(type: FrameEventType, buffer: Buffer, start: number): string | undefined {
  if (PROBE_NAMES[frameProbe(buffer, start)] !== type) return `${type} frame of another probe`;
  const length = frameLength(buffer, start);
  const needed = neededBytes(type, buffer, start, length);
  if (length < needed || length >= needed + FRAME_ALIGN) {
    return `${type} frame of ${length} bytes, but its fields need ${needed}`;
  }
  if (framePid(buffer, start) < 1 || frameTid(buffer, start) < 1) return `${type} frame without a process`;
  if (type === "file_open" && openHook(buffer, start) >= OPEN_SOURCES.length) {
    return `file_open frame of hook ${openHook(buffer, start)}`;
  }
  return type === "tcp_state" ? checkTcpState(buffer, start) : undefined;
}

/** Header, body and strings; the lengths are read only where the frame is long enough to have them. */
function neededBytes(type: FrameEventType, buffer: Buffer, start: number, length: number): number {
  switch (type) {
    case "file_open":
      return length < PATH_BEGIN ? PATH_BEGIN : PATH_BEGIN + pathLength(buffer, start);
    case "process_exec":
      return length < FILENAME_BEGIN
        ? FILENAME_BEGIN
        : FILENAME_BEGIN + filenameLength(buffer, start) + argv0Length(buffer, start);
    case "tcp_state":
      return FRAME_HEADER_SIZE + TCP_STATE_BODY_SIZE;
  }
}

function checkTcpState(buffer: Buffer, start: number): string | undefined {
  const family = tcpFamily(buffer, start);
  if (family !== AF_INET && family !== AF_INET6) return `tcp_state frame of address family ${family}`;
  for (const state of [tcpOldState(buffer, start), tcpNewState(buffer, start)]) {
    if (state < 1 || state >= TCP_STATE_NAMES.length) return `tcp_state frame with state ${state}`;
  }
  return undefined;
}
