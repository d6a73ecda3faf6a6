/**
 * OTLP/HTTP server: `POST /v1/logs` with protobuf or JSON, gzip understood (OTLP specification, "OTLP/HTTP").
 * Everything a client can do wrong has an answer, and everything a client can hold has a limit.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { status } from "@grpc/grpc-js";
import type { Refusal, RequestEncoding } from "./otlp-request.ts";
import { exportResponse, statusResponse } from "./otlp-response.ts";
import { isRefusal, RefusedRequest, type RequestGate } from "./request-gate.ts";

export interface HttpReceiverOptions {
  readonly requestBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
}

const LOGS_PATH = "/v1/logs";
const KEEP_ALIVE_TIMEOUT_MS = 30_000;
const CONTENT_TYPES: Readonly<Record<RequestEncoding, string>> = {
  protobuf: "application/x-protobuf",
  json: "application/json",
};

const gunzipAsync = promisify(gunzip);

/** Makes the server; it does not listen yet. */
export function createHttpReceiver(options: HttpReceiverOptions, gate: RequestGate): Server {
  const server = createServer(
    {
      headersTimeout: Math.min(10_000, options.requestTimeoutMs),
      requestTimeout: options.requestTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(1_000, options.requestTimeoutMs),
    },
    (request, response) => {
      void answer(request, response, options, gate);
    },
  );
  server.maxConnections = options.connectionsMax;
  return server;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpReceiverOptions,
  gate: RequestGate,
): Promise<void> {
  const encoding = encodingOf(request);
  const leave = gate.enter();
  // A connection can fail at any time, also after the answer; nothing is left to do then.
  response.on("error", () => {});
  if (!isRefusal(leave)) response.once("close", leave);
  try {
    if (isRefusal(leave)) throw new RefusedRequest(leave);
    checkRequest(request, encoding);
    const body = await readBody(request, options.requestBytesMax);
    const result = await gate.handle({ encoding: encoding ?? "json", body });
    if (isRefusal(result)) throw new RefusedRequest(result);
    send(response, 200, encoding ?? "json", exportResponse(encoding ?? "json", result));
  } catch (thrown) {
    // Anything but a refusal is the connection's end: nobody is there to answer.
    if (!(thrown instanceof RefusedRequest)) {
      response.destroy();
      return;
    }
    gate.refused(thrown.refusal.message);
    refuse(response, encoding ?? "json", thrown.refusal);
  }
}

function encodingOf(request: IncomingMessage): RequestEncoding | undefined {
  const [mediaType = "", ...parameters] = (request.headers["content-type"] ?? "").toLowerCase().split(";");
  const charset = /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/;
  const charsets = parameters.flatMap((parameter) => charset.exec(parameter)?.[1] ?? []);
  if (mediaType.trim() === CONTENT_TYPES.protobuf) return "protobuf";
  const readable = charsets.every((name) => name === "utf-8" || name === "utf8");
  return mediaType.trim() === CONTENT_TYPES.json && readable ? "json" : undefined;
}

function checkRequest(request: IncomingMessage, encoding: RequestEncoding | undefined): void {
  const path = (request.url ?? "").replace(/\?.*$/s, "");
  if (path !== LOGS_PATH) throw refused(404, status.UNIMPLEMENTED, `only ${LOGS_PATH} is served here`);
  if (request.method !== "POST") throw refused(405, status.UNIMPLEMENTED, `${LOGS_PATH} takes POST only`);
  if (encoding === undefined) {
    throw refused(
      415,
      status.INVALID_ARGUMENT,
      "the content type must be application/x-protobuf or application/json in UTF-8",
    );
  }
  if (!/^(gzip|identity|none)?$/i.test(request.headers["content-encoding"]?.trim() ?? "")) {
    throw refused(415, status.INVALID_ARGUMENT, "the content encoding must be gzip or identity");
  }
}

/** Reads and decompresses. Both the body as sent and what it decompresses to are held to the limit. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const tooLarge = refused(
    413,
    status.RESOURCE_EXHAUSTED,
    `the request is larger than max (${bytesMax} bytes)`,
  );
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Without destroying: a client that is cut off while it sends would not read the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (request.headers["content-encoding"]?.trim().toLowerCase() !== "gzip") return body;
  try {
    return await gunzipAsync(body, { maxOutputLength: bytesMax });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge;
    throw refused(400, status.INVALID_ARGUMENT, "the body is not valid gzip");
  }
}

function refused(httpStatus: number, grpcCode: number, message: string): RefusedRequest {
  return new RefusedRequest({ httpStatus, grpcCode, message });
}

/** The rest of a refused body is read and forgotten, within the request timeout, so that the answer arrives. */
function refuse(response: ServerResponse, encoding: RequestEncoding, refusal: Refusal): void {
  const { httpStatus, grpcCode, message, retryAfterSeconds } = refusal;
  if (httpStatus === 405) response.setHeader("allow", "POST");
  if (httpStatus === 415) response.setHeader("accept-encoding", "gzip");
  if (retryAfterSeconds !== undefined) response.setHeader("retry-after", String(retryAfterSeconds));
  send(response, httpStatus, encoding, statusResponse(encoding, grpcCode, message));
  response.req.resume();
}

function send(response: ServerResponse, httpStatus: number, encoding: RequestEncoding, body: Buffer): void {
  response.writeHead(httpStatus, {
    "content-type": CONTENT_TYPES[encoding],
    "content-length": body.byteLength,
  });
  response.end(body);
}
