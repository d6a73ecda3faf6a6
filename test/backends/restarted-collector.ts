/** The real Collector at one address, killed and started again; each start has a directory of its own. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../process.ts";
import { type StartedCollector, startCollector } from "./collector.ts";

export class RestartedCollector {
  /** For OTLP/gRPC; nobody answers before the first start. */
  readonly grpcEndpoint: string;
  readonly #ports: readonly [number, number];
  readonly #directory = mkdtempSync(join(tmpdir(), "runtime-evidence-restarts-"));
  #running: StartedCollector | undefined;
  #starts = 0;

  static async create(): Promise<RestartedCollector> {
    return new RestartedCollector((await freePorts(2)) as [number, number]);
  }

  private constructor(ports: readonly [number, number]) {
    this.#ports = ports;
    this.grpcEndpoint = `http://127.0.0.1:${ports[0]}`;
  }

  async start(): Promise<void> {
    const directory = join(this.#directory, String(++this.#starts).padStart(3, "0"));
    this.#running = await startCollector({ config: "file", ports: this.#ports, directory });
  }

  /** What the Collector that runs has stored since its start. */
  storedBytes(): number {
    const path = this.#running?.jsonPath;
    return path !== undefined && existsSync(path) ? statSync(path).size : 0;
  }

  async kill(): Promise<void> {
    await this.#running?.kill();
    this.#running = undefined;
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  /** What all starts have stored, in one of the two formats that the configuration writes. */
  stored(ending: ".jsonl" | ".binpb" = ".jsonl"): string[] {
    return readdirSync(this.#directory, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(ending))
      .map((name) => join(this.#directory, name))
      .filter((path) => statSync(path).size > 0);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
