/**
 * What is likely wrong when two sides don't speak the same protocol: the ports of gRPC and HTTP mixed up, or TLS and
 * plaintext. Each is a mistake in a setting that somebody will correct, so that all of it is tried again, also
 * where the answer by itself would refuse the request for good.
 *
 *   server       client        sign (Collector and grpc-js; nginx speaks for itself)
 *   any, plain   any, TLS      OpenSSL "wrong version number"
 *   gRPC, plain  HTTP, plain   no HTTP/1, but a SETTINGS frame of HTTP/2
 *   HTTP, plain  gRPC, plain   "Protocol error"
 *   any, TLS     gRPC, plain   closed at once: "Failed to connect"
 *   gRPC, TLS    HTTP, any     closed without an answer: ECONNRESET, EPIPE
 *   HTTP, TLS    gRPC, TLS     HTTP status 404, or the TLS alert that no protocol is common to both
 *   HTTP, TLS    HTTP, plain   HTTP status 400 with a text
 *
 * What is closed without an answer may just be restarting: that is only told while nothing has ever been delivered.
 */

/** What a sender knows of its side. */
export interface Connecting {
  /** Host and port, for people. */
  readonly server: string;
  /** Whether our side speaks TLS. */
  readonly secure: boolean;
  /** Whether anything was delivered before. */
  readonly hasDelivered: boolean;
}

/** What Node says of a connection that failed; `rawPacket` is what its HTTP parser could not read. */
export interface ConnectionError {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly rawPacket?: unknown;
}

const USE_GRPC = "set the protocol to grpc (--otlp-protocol, OTEL_EXPORTER_OTLP_PROTOCOL)";
const USE_HTTP = "set the protocol to http/protobuf (--otlp-protocol, OTEL_EXPORTER_OTLP_PROTOCOL)";

const PLAINTEXT_TO_TLS = /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port/;
const NO_COMMON_PROTOCOL = /no application protocol|Missing ALPN Protocol, expected `h2`/;
const NO_TLS = /SSL routines:[^:]*:wrong version number/;
/** What grpc-js makes of an answer that is HTTP, but of no gRPC server. */
const NO_GRPC = /^Received HTTP status code (?:404|405|415)$/;

/**
 * Why an HTTP status that is no success may mean that somebody else was meant; `undefined` where it means what it says.
 * @param message what the body said
 */
export function httpStatusMismatch(status: number, message: string, server: string): string | undefined {
  if (status === 400 && PLAINTEXT_TO_TLS.test(message)) return wantsTls(server);
  return NO_COMMON_PROTOCOL.test(message) ? noHttp1(server) : undefined;
}

/** Why an HTTP connection failed; `undefined` where the error says all there is to say. */
export function httpFailureMismatch(error: ConnectionError, connecting: Connecting): string | undefined {
  const { code = "", message = "", rawPacket } = error;
  const { server, secure, hasDelivered } = connecting;
  if (NO_TLS.test(message)) return noTls(server);
  if (NO_COMMON_PROTOCOL.test(message)) return noHttp1(server);
  if (code === "HPE_INVALID_CONSTANT")
    return Buffer.isBuffer(rawPacket) && isTls(rawPacket) ? wantsTls(server) : noHttp1(server);
  if (!/^(?:ECONNRESET|EPIPE)$/.test(code) || hasDelivered) return undefined;
  const tls = secure ? "" : "does it want TLS (https://), or ";
  return `${server} closes connections without an answer: ${tls}is it a port of gRPC? ${tls === "" ? "" : "then "}${USE_GRPC}`;
}

/**
 * Why a gRPC call failed; `undefined` where the status says all there is to say.
 * @param details the status message of grpc-js
 */
export function grpcMismatch(details: string, connecting: Connecting): string | undefined {
  const { server, secure, hasDelivered } = connecting;
  if (NO_TLS.test(details)) return noTls(server);
  const isOther = NO_GRPC.test(details) || NO_COMMON_PROTOCOL.test(details);
  if (isOther || /^No connection established\. Last error: Protocol error\b/.test(details)) {
    return `${server} does not speak gRPC: is it the port of OTLP/HTTP? ${USE_HTTP}`;
  }
  const isClosed = /^No connection established\. Last error: Failed to connect\b/.test(details);
  if (!isClosed || secure || hasDelivered) return undefined;
  return `${server} closes connections without an answer: does it want TLS? use https://`;
}

function noHttp1(server: string): string {
  return `${server} does not speak HTTP/1: is it the port of gRPC? ${USE_GRPC}`;
}

function noTls(server: string): string {
  return `${server} does not speak TLS: use http://, or is it another port?`;
}

function wantsTls(server: string): string {
  return `${server} wants TLS: use https://`;
}

/** A record of TLS: an alert (RFC 8446, section 5.1). */
function isTls(bytes: Buffer): boolean {
  return bytes[0] === 0x15 && bytes[1] === 0x03;
}
