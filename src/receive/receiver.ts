/**
 * The embedded OTLP receiver: logs over gRPC and HTTP, on loopback unless told otherwise, without TLS. It takes
 * requests and answers; what becomes of them is `onRequest`'s.
 */
import type { AddressInfo, Server } from "node:net";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { createGrpcReceiver } from "./grpc-receiver.ts";
import { createHttpReceiver } from "./http-receiver.ts";
import type { OnRequest } from "./otlp-request.ts";
import { RequestGate } from "./request-gate.ts";

/** Default of `requestBytesMax`: 16 MiB, four times what a Collector takes over gRPC. */
export const REQUEST_BYTES_MAX = 16 * 1024 * 1024;
/** Default of `requestsInFlightMax`. */
export const REQUESTS_IN_FLIGHT_MAX = 16;
/** Default of `connectionsMax`, per protocol. */
export const CONNECTIONS_MAX = 128;
/** Default of `requestTimeoutMs`. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** Default of `closeTimeoutMs`. */
export const CLOSE_TIMEOUT_MS = 5_000;

const LOOPBACK = "127.0.0.1";

export interface ListenAddress {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ReceiverOptions {
  readonly grpc?: ListenAddress;
  readonly http?: ListenAddress;
  /** Largest request, after decompression; a larger one is refused (413, RESOURCE_EXHAUSTED). */
  readonly requestBytesMax?: number;
  /** Requests held at a time, both protocols together; more are told to come back (503, UNAVAILABLE). */
  readonly requestsInFlightMax?: number;
  /** Connections per protocol; more are closed at once. */
  readonly connectionsMax?: number;
  /** Time for a request to arrive; a slower one is ended (408, DEADLINE_EXCEEDED). */
  readonly requestTimeoutMs?: number;
  /** Time that `close` gives to requests in flight. */
  readonly closeTimeoutMs?: number;
  /** Told about failures of `onRequest` that are not the client's fault. */
  readonly onError?: (error: unknown) => void;
}

export interface Receiver {
  readonly grpcAddress?: AddressInfo;
  readonly httpAddress?: AddressInfo;
  /** Takes no more requests, answers those in flight, and ends. */
  close(): Promise<void>;
}

/**
 * Starts listening. Throws RuntimeEvidenceError `usage` when neither protocol is asked for or an address cannot
 * be used, `not-permitted` for a port that this user may not take.
 */
export async function startReceiver(options: ReceiverOptions, onRequest: OnRequest): Promise<Receiver> {
  if (options.grpc === undefined && options.http === undefined) {
    throw new RuntimeEvidenceError("usage", "the receiver needs an address for gRPC or for HTTP");
  }
  const limits = {
    requestBytesMax: options.requestBytesMax ?? REQUEST_BYTES_MAX,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    requestsInFlightMax: options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX,
    connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
  };
  const gate = new RequestGate(limits.requestsInFlightMax, onRequest, options.onError ?? (() => {}));
  const grpc = options.grpc && createGrpcReceiver(limits, gate);
  const http = options.http && createHttpReceiver(limits, gate);
  const close = async () => {
    const stopped = [grpc?.listener, http].map((server) => server && stopListening(server));
    http?.closeIdleConnections();
    grpc?.end(options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS);
    await gate.idle(options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS);
    http?.closeAllConnections();
    grpc?.end(0);
    await Promise.all(stopped);
  };
  try {
    const grpcAddress = grpc && options.grpc && (await listen(grpc.listener, options.grpc, "gRPC"));
    const httpAddress = http && options.http && (await listen(http, options.http, "HTTP"));
    return { ...(grpcAddress && { grpcAddress }), ...(httpAddress && { httpAddress }), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function listen(server: Server, address: ListenAddress, what: string): Promise<AddressInfo> {
  const { host = LOOPBACK, port } = address;
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(listenError(error, what, `${host}:${port}`));
    server.once("error", fail);
    server.listen({ host, port }, () => {
      server.off("error", fail);
      resolve(server.address() as AddressInfo);
    });
  });
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve();
    server.close(() => resolve());
  });
}

function listenError(error: NodeJS.ErrnoException, what: string, address: string): RuntimeEvidenceError {
  const context = { address };
  if (error.code === "EADDRINUSE") {
    const message = `cannot receive OTLP/${what} on ${address}: another program listens there`;
    return new RuntimeEvidenceError("usage", message, { context, cause: error });
  }
  const code = error.code === "EACCES" ? "not-permitted" : "usage";
  return new RuntimeEvidenceError(code, `cannot receive OTLP/${what} on ${address}: ${error.code}`, {
    context,
    cause: error,
  });
}
