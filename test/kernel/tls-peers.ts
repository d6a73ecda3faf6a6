/**
 * Real TLS programs for tests: Python's ssl, which counts what it reads and writes, and Node.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { EvidenceRecord, SslOp } from "../../src/evidence/record.ts";
import { REPOSITORY } from "./live.ts";

/** What a peer itself counted. */
export interface PeerReport {
  pid: number;
  read: number;
  written: number;
  error?: string;
}

const PEER = `${REPOSITORY}test/triggers/tls-peer.py`;
/** Long enough to attach to a file that was never seen before. */
export const SETTLE_MS = "700";

/** A program that prints reports as lines of JSON. */
export interface Peer {
  readonly pid: number;
  /** The next report. */
  next(): Promise<PeerReport>;
  /** Ends its input, which ends a server, and waits for its end. */
  end(): Promise<void>;
}

export async function startPeer(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const killWithTest = () => child.kill("SIGKILL");
  process.once("exit", killWithTest);
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.stdin.on("error", () => {}); // it has ended
  await once(child, "spawn");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid as number,
    next: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ${args.join(" ")} ended without a report`);
      return JSON.parse(value) as PeerReport;
    },
    end: async () => {
      child.stdin.end();
      const timer = setTimeout(killWithTest, 5_000);
      await exited;
      clearTimeout(timer);
      process.off("exit", killWithTest);
    },
  };
}

/** Python's ssl; see test/triggers/tls-peer.py. */
export function startPython(
  args: readonly (string | number)[],
  env: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  return startPeer("python3", [PEER, ...args.map(String)], env);
}

/** A server that listens. */
export async function startPythonServer(
  args: readonly (string | number)[],
  env: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  const server = await startPython(["server", ...args], env);
  await server.next();
  return server;
}

export type SslRecord = EvidenceRecord & { event: SslOp };

/** Sums of the bytes that records say a process read and wrote. */
export function bytesOf(records: readonly EvidenceRecord[], pid: number): { read: number; written: number } {
  const sum = (operation: SslOp["operation"]) =>
    (records as readonly SslRecord[])
      .filter((record) => record.pid === pid && record.event.operation === operation)
      .reduce((total, { event }) => total + Number(event.bytes ?? Number.NaN), 0);
  return { read: sum("read"), written: sum("write") };
}
