/** Collectors for tests, as good or as hostile as a test needs; real sockets on free loopback ports. */
import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { type OtlpOverrides, readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import type { OtlpOptions, OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import { freePorts } from "../process.ts";

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Options to send to a port on loopback. */
export function optionsFor(
  protocol: OtlpProtocol,
  port: number,
  more: OtlpOverrides & { tls?: boolean } = {},
): OtlpOptions {
  const { tls = false, ...overrides } = more;
  const endpoint = `${tls ? "https" : "http"}://localhost:${port}`;
  return readOtlpOptions({}, { endpoint, protocol, timeoutMs: 10_000, ...overrides }).options;
}

const identity = (bytes: Buffer): Buffer => bytes;

export type GrpcAnswer = (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => void;

/** A gRPC logs service that answers as it is told. */
export async function grpcServer(
  answer: GrpcAnswer,
  credentials: ServerCredentials = ServerCredentials.createInsecure(),
  requestBytesMax = 16 * 1024 * 1024,
  address = "localhost:0",
): Promise<RunningServer> {
  const server = new Server({ "grpc.max_receive_message_length": requestBytesMax });
  server.register(
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    answer,
    identity,
    identity,
    "unary",
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    port,
    close: async () => server.forceShutdown(),
  };
}

/** A failure as grpc-js servers give it. */
export function grpcFailure(
  code: number,
  details: string,
  metadata?: Metadata,
): Parameters<sendUnaryData<Buffer>>[0] {
  return { code, details, ...(metadata && { metadata }) };
}

/** An HTTP or, with a key, an HTTPS server. */
export async function httpServer(
  listener: RequestListener,
  tls?: { key: Buffer; cert: Buffer; ca?: Buffer; requestCert?: boolean },
  address: { host: string; port: number } = { host: "localhost", port: 0 },
): Promise<RunningServer> {
  const server: HttpServer = tls
    ? createHttpsServer({ ...tls, rejectUnauthorized: tls.requestCert === true }, listener)
    : createHttpServer(listener);
  const running = await listening(server, address);
  return {
    ...running,
    close: async () => {
      server.closeAllConnections();
      await running.close();
    },
  };
}

/** A server that does not even speak a protocol. */
export async function socketServer(onConnection: (socket: Socket) => void): Promise<RunningServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  const running = await listening(server);
  return {
    ...running,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await running.close();
    },
  };
}

/** A port of loopback where nobody listens. */
export async function closedPort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

async function listening(
  server: NetServer,
  { host, port: wanted } = { host: "localhost", port: 0 },
): Promise<RunningServer> {
  server.listen(wanted, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
