/** The real OpenTelemetry Collector, built from `test/backends/collector` by `make build/otelcol`. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Exit, freePorts, type Output, startProcess, until } from "../process.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;
const BINARY = join(REPOSITORY, "build/otelcol");

/** Why tests with a real Collector can't run here; undefined where they can. */
export function collectorMissing(): string | undefined {
  if (existsSync(BINARY)) return undefined;
  return "build/otelcol is not built: cd test/backends/collector && go build -o ../../../build/otelcol .";
}

/** Configurations that the tests run: some are files for users. */
const CONFIGS = {
  file: "otel-config/collector-file.yaml",
  debug: "otel-config/collector-debug.yaml",
  loki: "otel-config/collector-loki.yaml",
  nop: "test/backends/collector-nop.yaml",
  tls: "test/backends/collector-tls.yaml",
  metrics: "test/backends/collector-metrics.yaml",
  formats: "test/backends/collector-formats.yaml",
};

export interface CollectorOptions {
  readonly config: keyof typeof CONFIGS;
  /** Feature gates to turn on. */
  readonly featureGates?: readonly string[];
  /** For the config "tls": paths of PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** For the config "loki": where its OTLP endpoint is. */
  readonly lokiEndpoint?: string;
  /** Default 20 s. */
  readonly readyTimeoutMs?: number;
  /** For OTLP/gRPC and OTLP/HTTP; free ones by default. */
  readonly ports?: readonly [grpc: number, http: number];
  /** Where it writes; by default a directory of its own. */
  readonly directory?: string;
}

export interface StartedCollector {
  readonly pid: number;
  /** `http://127.0.0.1:PORT`, for OTLP/gRPC. */
  readonly grpcEndpoint: string;
  /** `http://127.0.0.1:PORT`, for OTLP/HTTP; logs go to `/v1/logs` below it. */
  readonly httpEndpoint: string;
  /** Where file exporters write, and the queue is kept. */
  readonly directory: string;
  /** JSON lines that the file exporter writes; only with the config "file". */
  readonly jsonPath: string;
  /** Length-prefixed protobuf that the file exporter writes; only with the config "file". */
  readonly protoPath: string;
  /** What it has printed: the debug exporter writes to stderr. */
  output(): Output;
  /** Ends it, which flushes its files. They stay until {@link StartedCollector.remove}. */
  stop(): Promise<Exit>;
  /** Ends it with SIGKILL. */
  kill(): Promise<Exit>;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
}

/** Starts a Collector on free loopback ports; throws with its output where it does not come up. */
export async function startCollector(options: CollectorOptions): Promise<StartedCollector> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "runtime-evidence-collector-")));
  const [grpcPort, httpPort] = options.ports ?? ((await freePorts(2)) as [number, number]);
  const collector = await startProcess({
    command: BINARY,
    args: [
      ...["--config", join(REPOSITORY, CONFIGS[options.config])],
      ...(options.featureGates ?? []).map((gate) => `--feature-gates=${gate}`),
    ],
    env: {
      OTLP_GRPC_PORT: String(grpcPort),
      OTLP_HTTP_PORT: String(httpPort),
      EVIDENCE_DIR: directory,
      QUEUE_DIR: directory,
      ...(options.tls && { TLS_CERTIFICATE: options.tls.certificate, TLS_KEY: options.tls.key }),
      ...(options.lokiEndpoint === undefined ? {} : { LOKI_ENDPOINT: options.lokiEndpoint }),
    },
    isReady: async ({ stderr }) => stderr.includes("Everything is ready") && (await accepts(httpPort)),
    ...(options.readyTimeoutMs === undefined ? {} : { readyTimeoutMs: options.readyTimeoutMs }),
  });
  // It says that it is ready shortly before it listens for SIGTERM, which would kill it instead of ending it.
  await until(
    () => isIdle(collector.pid),
    () => "a Collector that waits",
  );
  return {
    pid: collector.pid,
    grpcEndpoint: `http://127.0.0.1:${grpcPort}`,
    httpEndpoint: `http://127.0.0.1:${httpPort}`,
    directory,
    jsonPath: join(directory, "evidence.jsonl"),
    protoPath: join(directory, "evidence.binpb"),
    output: collector.output,
    stop: collector.stop,
    kill() {
      process.kill(collector.pid, "SIGKILL");
      return collector.exited;
    },
    async remove() {
      await collector.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** None of its threads runs or wants to: all that it had to do at its start is done. */
function isIdle(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    try {
      return /^State:\tS/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"));
    } catch {
      return true; // it ended while we looked
    }
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
