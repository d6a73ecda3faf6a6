/**
 * Whether an event frame holds together, so that nothing behind this point has to ask again.
 */
import { AF_INET, AF_INET6 } from "./address.ts";
import { PROBE_NAMES } from "./control.ts";
import type { FrameEventType } from "./fields.ts";
import { OPEN_SOURCES, openHook, PATH_BEGIN, pathLength } from "./file-open.ts";
import { STACK_BEGIN, stackBytes } from "./function-call.ts";
import { BODY, frameLength, framePid, frameProbe, frameTid } from "./header.ts";
import { FRAME_ALIGN, NET_CONNECT_BODY_SIZE, SSL_OP_BODY_SIZE, TCP_STATE_BODY_SIZE } from "./layout.gen.ts";
import { CONNECT_SOURCES, connectFamily, connectFunction } from "./net-connect.ts";
import { argv0Length, FILENAME_BEGIN, filenameLength } from "./process-exec.ts";
import { SSL_SOURCES, sslFunction } from "./ssl-op.ts";
import { TCP_STATE_NAMES, tcpFamily, tcpNewState, tcpOldState } from "./tcp-state.ts";

/** What is wrong with the frame at `start`, or `undefined` when every field of it can be read and is valid v1. */
export function checkEventFrame(type: FrameEventType, buffer: Buffer, start: number): string | undefined {
  if (PROBE_NAMES[frameProbe(buffer, start)] !== type) return `${type} frame of another probe`;
  const length = frameLength(buffer, start);
  const needed = neededBytes(type, buffer, start, length);
  if (length < needed || length >= needed + FRAME_ALIGN) {
    return `${type} frame of ${length} bytes, but its fields need ${needed}`;
  }
  if (framePid(buffer, start) < 1 || frameTid(buffer, start) < 1) return `${type} frame without a process`;
  return checkValues(type, buffer, start);
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
      return BODY + TCP_STATE_BODY_SIZE;
    case "net_connect":
      return BODY + NET_CONNECT_BODY_SIZE;
    case "ssl_op":
      return BODY + SSL_OP_BODY_SIZE;
    case "function_call":
      return length < STACK_BEGIN ? STACK_BEGIN : STACK_BEGIN + stackBytes(buffer, start);
  }
}

/** Values that choose among a few must be one of them. */
function checkValues(type: FrameEventType, buffer: Buffer, start: number): string | undefined {
  switch (type) {
    case "file_open":
      return openHook(buffer, start) < OPEN_SOURCES.length
        ? undefined
        : `file_open frame of hook ${openHook(buffer, start)}`;
    case "tcp_state":
      return checkTcpState(buffer, start);
    case "net_connect":
      return connectFunction(buffer, start) < CONNECT_SOURCES.length
        ? checkFamily(type, connectFamily(buffer, start))
        : `net_connect frame of function ${connectFunction(buffer, start)}`;
    case "ssl_op":
      return sslFunction(buffer, start) < SSL_SOURCES.length
        ? undefined
        : `ssl_op frame of function ${sslFunction(buffer, start)}`;
    default:
      return undefined;
  }
}

function checkFamily(type: FrameEventType, family: number): string | undefined {
  return family === AF_INET || family === AF_INET6 ? undefined : `${type} frame of address family ${family}`;
}

function checkTcpState(buffer: Buffer, start: number): string | undefined {
  for (const state of [tcpOldState(buffer, start), tcpNewState(buffer, start)]) {
    if (state < 1 || state >= TCP_STATE_NAMES.length) return `tcp_state frame with state ${state}`;
  }
  return checkFamily("tcp_state", tcpFamily(buffer, start));
}
