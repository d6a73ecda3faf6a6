/**
 * OTLP/gRPC server: `LogsService/Export` with raw bytes. grpc-js decompresses and holds messages to the limit;
 * connections come from our own listening socket, so that they can be counted and a taken port is told alike.
 */
import { createServer, type Server as NetServer } from "node:net";
import {
  Metadata,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { Refusal } from "./otlp-request.ts";
import { exportResponse, retryInfoStatus } from "./otlp-response.ts";
import { isRefusal, type RequestGate } from "./request-gate.ts";

export interface GrpcReceiverOptions {
  readonly requestBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
}

export interface GrpcReceiver {
  /** Listens for connections of this server. */
  readonly listener: NetServer;
  /** Ends each connection when its calls are answered. */
  drain(graceMs: number): void;
  /** Ends all connections now. */
  destroy(): void;
}

/** Connections without a request for this long are closed. */
const IDLE_CONNECTION_MS = 5 * 60_000;

/**
 * Far more than the gate lets in: what the gate refuses is told to come back, but a stream beyond this limit is
 * reset by HTTP/2, which clients take for a permanent RESOURCE_EXHAUSTED.
 */
const STREAMS_PER_CONNECTION_MAX = 256;

const identity = (bytes: Buffer): Buffer => bytes;

const LOGS_SERVICE: ServiceDefinition = {
  Export: {
    path: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
};

/** Makes the server; its listener does not listen yet. */
export function createGrpcReceiver(options: GrpcReceiverOptions, gate: RequestGate): GrpcReceiver {
  const server = new Server({
    "grpc.max_receive_message_length": options.requestBytesMax,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION_MAX,
    "grpc.max_connection_idle_ms": IDLE_CONNECTION_MS,
    interceptors: [admission(options.requestTimeoutMs, gate)],
  });
  const exportLogs: UntypedHandleCall = (call: { request: Buffer }, respond: Respond) => {
    void gate.handle({ encoding: "protobuf", body: call.request }).then((result) => {
      if (isRefusal(result))
        respond({ code: result.grpcCode, details: result.message, metadata: trailers(result) });
      else respond(null, exportResponse("protobuf", result));
    });
  };
  server.addService(LOGS_SERVICE, { Export: exportLogs });
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer((socket) => connections.injectConnection(socket));
  listener.maxConnections = options.connectionsMax;
  return {
    listener,
    drain: (graceMs) => connections.drain(graceMs),
    destroy: () => server.forceShutdown(),
  };
}

type Respond = (
  error: { code: number; details: string; metadata: Metadata } | null,
  response?: Buffer,
) => void;

/**
 * Takes a place in the gate before a message is read, because reading is what costs memory, and ends a call whose
 * message does not arrive in time.
 */
function admission(requestTimeoutMs: number, gate: RequestGate): ServerInterceptor {
  return (_method, call) => {
    const leave = gate.enter();
    let timer: NodeJS.Timeout | undefined;
    const end = () => {
      clearTimeout(timer);
      if (!isRefusal(leave)) leave();
    };
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, forward) {
            if (isRefusal(leave)) {
              gate.refused(leave.message);
              return call.sendStatus({
                code: leave.grpcCode,
                details: leave.message,
                metadata: trailers(leave),
              });
            }
            timer = setTimeout(() => {
              end();
              call.sendStatus({
                code: status.DEADLINE_EXCEEDED,
                details: "the request did not arrive in time",
              });
            }, requestTimeoutMs);
            forward(metadata);
          },
          onReceiveMessage(message, forward) {
            clearTimeout(timer);
            forward(message);
          },
          onCancel() {
            end();
          },
        });
      },
      sendStatus(result, next) {
        end();
        // Also what the library refuses by itself: a message over the limit, an unknown compression.
        if (result.code !== status.OK && result.code !== undefined) gate.refused(result.details ?? "");
        next(result);
      },
    });
  };
}

function trailers(refusal: Refusal): Metadata {
  const metadata = new Metadata();
  if (refusal.retryAfterSeconds !== undefined) {
    const details = retryInfoStatus(refusal.grpcCode, refusal.message, refusal.retryAfterSeconds);
    metadata.set("grpc-status-details-bin", details);
  }
  return metadata;
}
