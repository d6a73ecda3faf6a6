/**
 * `GET /metrics` on loopback, for a Prometheus on the same host. Whoever can reach loopback can ask, so everything
 * about a request is bounded: connections, header bytes, time, and how often values are collected at all. A request's
 * body is not read.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, BlockList, isIP } from "node:net";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Further ones are closed at once. A Prometheus needs one. */
const CONNECTIONS_MAX = 16;
const HEADER_BYTES_MAX = 8 * 1024;
const HEADERS_MAX = 64;
/** Default of `requestTimeoutMs`. */
const REQUEST_TIMEOUT_MS = 5000;
/** Scrapes within this time get the same text, however many. */
const REUSE_MS = 250;
/** The text format of Prometheus, in the version that all of them read. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface LoopbackAddress {
  /** An address of loopback. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface PrometheusEndpointOptions extends LoopbackAddress {
  /** For a whole request to arrive, and for a reader that takes nothing; default 5 s. */
  readonly requestTimeoutMs?: number;
}

/** An endpoint that listens. */
export interface PrometheusEndpoint {
  /** `127.0.0.1:9464`. */
  readonly address: string;
  /** Gives what is asked for from now on; before, a scrape is answered with 503. */
  serve(render: () => Promise<string>): void;
  /** Ends all connections. */
  close(): Promise<void>;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether `host` can be reached from this host only. A name is not: it could be any address. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  return family === 0 ? false : loopback.check(host, family === 6 ? "ipv6" : "ipv4");
}

/**
 * Listens at once; the process does not stay alive for it.
 * @throws RuntimeEvidenceError `usage` for an address that is none of loopback, `io` when it can't be listened on.
 */
export async function openPrometheusEndpoint({
  host,
  port,
  requestTimeoutMs = REQUEST_TIMEOUT_MS,
}: PrometheusEndpointOptions): Promise<PrometheusEndpoint> {
  if (!isLoopback(host)) {
    const message = `metrics are served on loopback only, and ${host} is not; use 127.0.0.1 or [::1]`;
    throw new RuntimeEvidenceError("usage", message);
  }
  const scrape = new Scrape();
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      // How often Node looks for connections that are too slow.
      connectionsCheckingInterval: Math.ceil(requestTimeoutMs / 4),
    },
    (request, response) => void answer(request, response, scrape),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.maxHeadersCount = HEADERS_MAX;
  server.setTimeout(requestTimeoutMs, (socket) => socket.destroy());
  await listen(server, host, port);
  server.unref();
  const bound = server.address() as AddressInfo;
  return {
    address: bound.family === "IPv6" ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`,
    serve: (render) => scrape.serve(render),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The values as text, collected once for all who ask at the same time. */
class Scrape {
  #render: (() => Promise<string>) | undefined;
  #text: Promise<string> | undefined;
  #untilMs = 0;

  serve(render: () => Promise<string>): void {
    this.#render = render;
  }

  /** Nothing before there are values. */
  text(): Promise<string> | undefined {
    if (this.#render === undefined) return undefined;
    if (this.#text === undefined || performance.now() >= this.#untilMs) {
      this.#text = this.#render();
      this.#untilMs = performance.now() + REUSE_MS;
    }
    return this.#text;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, scrape: Scrape): Promise<void> {
  // A body, if there is one, is not for us: with the connection closed nothing of it is taken for a request.
  const hasBody = request.headers["content-length"] !== undefined || "transfer-encoding" in request.headers;
  if (hasBody) response.shouldKeepAlive = false;
  response.on("finish", () => hasBody && request.socket.destroySoon());
  const refuse = (status: number, line: string): void => {
    response.writeHead(status, { "content-type": "text/plain" }).end(`${line}\n`);
  };
  if (request.url?.split("?")[0] !== "/metrics") return refuse(404, "metrics are at /metrics");
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "use GET");
  try {
    const text = await scrape.text();
    if (text === undefined) return refuse(503, "starting");
    response.writeHead(200, { "content-type": CONTENT_TYPE, "content-length": Buffer.byteLength(text) });
    response.end(request.method === "HEAD" ? undefined : text);
  } catch {
    refuse(500, "the values could not be collected");
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const message = `cannot serve metrics on ${host} port ${port}: ${cause.code}`;
      reject(new RuntimeEvidenceError("io", message, { cause }));
    });
    server.listen(port, host, () => {
      // One who asks and goes away is no trouble.
      server.removeAllListeners("error").on("error", () => {});
      resolve();
    });
  });
}
