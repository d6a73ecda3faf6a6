/** A receiver on free loopback ports that remembers what it got, and ways to talk to it. */
import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { OnRequest, OtlpRequest } from "../../src/receive/otlp-request.ts";
import { type Receiver, type ReceiverOptions, startReceiver } from "../../src/receive/receiver.ts";

export interface ReceiverUnderTest {
  readonly receiver: Receiver;
  readonly requests: OtlpRequest[];
  readonly httpPort: number;
  readonly grpcPort: number;
}

export async function receiverUnderTest(
  options: Partial<ReceiverOptions> = {},
  onRequest: OnRequest = async () => {},
): Promise<ReceiverUnderTest> {
  const requests: OtlpRequest[] = [];
  const receiver = await startReceiver({ grpc: { port: 0 }, http: { port: 0 }, ...options }, (request) => {
    requests.push(request);
    return onRequest(request);
  });
  return {
    receiver,
    requests,
    httpPort: receiver.httpAddress?.port ?? 0,
    grpcPort: receiver.grpcAddress?.port ?? 0,
  };
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One HTTP request on a connection of its own; without a body when `body` is undefined. */
export function http(
  port: number,
  body: Buffer | undefined,
  headers: OutgoingHttpHeaders = {},
  { method = "POST", path = "/v1/logs" } = {},
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port, method, path, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

const identity = (bytes: Buffer): Buffer => bytes;

/** One gRPC call; resolves with the response or the error. */
export function grpc(
  port: number,
  body: Buffer,
  { gzip = false, path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export" } = {},
): Promise<Buffer | ServiceError> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.default_compression_algorithm": gzip ? 2 : 0,
  });
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 20_000 };
    client.makeUnaryRequest<Buffer, Buffer>(
      path,
      identity,
      identity,
      body,
      new Metadata(),
      options,
      (error, reply) => {
        client.close();
        resolve(error ?? reply ?? Buffer.alloc(0));
      },
    );
  });
}

/** The code and details of a failed call. */
export function failureOf(reply: Buffer | ServiceError): { code: number; details: string } {
  if (Buffer.isBuffer(reply)) throw new Error("the call did not fail");
  return { code: reply.code, details: reply.details };
}
