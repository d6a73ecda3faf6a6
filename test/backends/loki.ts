/** The real Loki, built from `test/backends/loki` by `make build/loki`, with the configuration for users. */

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts, type Output, startProcess } from "../process.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;
const BINARY = join(REPOSITORY, "build/loki");

/** Why tests with a real Loki can't run here; undefined where they can. */
export function lokiMissing(): string | undefined {
  return existsSync(BINARY) ? undefined : "build/loki is not built: make build/loki";
}

export interface StartedLoki {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Where OTLP goes; logs to `/v1/logs` below it. */
  readonly otlpEndpoint: string;
  output(): Output;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
}

/** Starts a Loki on free loopback ports, with more of its flags; throws with its output where it does not come up. */
export async function startLoki(flags: readonly string[] = []): Promise<StartedLoki> {
  const directory = await mkdtemp(join(tmpdir(), "runtime-evidence-loki-"));
  const [httpPort, grpcPort] = (await freePorts(2)) as [number, number];
  const url = `http://127.0.0.1:${httpPort}`;
  const loki = await startProcess({
    command: BINARY,
    args: [
      `-config.file=${join(REPOSITORY, "otel-config/loki.yaml")}`,
      "-config.expand-env=true",
      // Loki waits this long to be found by others of its kind; here are none.
      "-ingester.min-ready-duration=0s",
      "-log.level=warn",
      ...flags,
    ],
    cwd: directory,
    env: { LOKI_HTTP_PORT: String(httpPort), LOKI_GRPC_PORT: String(grpcPort), LOKI_DIR: directory },
    isReady: () => isReady(url),
    readyTimeoutMs: 60_000,
    // It has nothing worth writing out.
    stopTimeoutMs: 1_000,
  });
  return {
    url,
    otlpEndpoint: `${url}/otlp`,
    output: loki.output,
    async remove() {
      await loki.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/ready`, { signal: AbortSignal.timeout(2_000) })).status === 200;
  } catch {
    return false;
  }
}
