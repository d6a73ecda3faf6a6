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
  /** Told about failures that are not a client's fault: of `onRequest`, and of the listening sockets. */
  readonly onError?: (error: unknown) => void;
  /** Told why a request was refused: one line, without anything of the request's content. */
  readonly onRefused?: (reason: string) => void;
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
  const onError = options.onError ?? (() => {});
  const gate = new RequestGate(limits.requestsInFlightMax, onRequest, {
    error: onError,
    refused: (reason) => options.onRefused?.(reason),
  });
  const grpc = options.grpc && createGrpcReceiver(limits, gate);
  const http = options.http && createHttpReceiver(limits, gate);
  const closeTimeoutMs = options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS;
  const close = async () => {
    const httpStopped = http && stopListening(http);
    const grpcStopped = grpc && stopListening(grpc.listener);
    grpc?.drain(closeTimeoutMs);
    // Connections of gRPC end by themselves once their calls are answered; those of HTTP are kept alive.
    await within(closeTimeoutMs, Promise.all([gate.idle(), grpcStopped]));
    http?.closeAllConnections();
    grpc?.destroy();
    await Promise.all([httpStopped, grpcStopped]);
  };
  try {
    const grpcAddress = grpc && options.grpc && (await listen(grpc.listener, options.grpc, "gRPC", onError));
    const httpAddress = http && options.http && (await listen(http, options.http, "HTTP", onError));
    return { ...(grpcAddress && { grpcAddress }), ...(httpAddress && { httpAddress }), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function listen(
  server: Server,
  address: ListenAddress,
  what: string,
  onError: (error: unknown) => void,
): Promise<AddressInfo> {
  const { host = LOOPBACK, port } = address;
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(listenError(error, what, `${host}:${port}`));
    server.once("error", fail);
    server.listen({ host, port }, () => {
      server.off("error", fail);
      // A listening server fails when file descriptors run out, for example; it goes on afterwards.
      server.on("error", onError);
      resolve(server.address() as AddressInfo);
    });
  });
}

async function within(timeoutMs: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([done, timeout]);
  clearTimeout(timer);
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
