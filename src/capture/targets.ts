/**
 * What uprobes cover: the probe says of each file that it attaches to, and of each that it can't, what it
 * found there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startProbe } from "./probe-source.ts";
import type { Diagnostic } from "./source.ts";

/** One executable or library. */
export interface Target {
  /** As its process sees it. */
  path: string;
  /** Functions of libc and of TLS, each with how it is seen: "full", or "entry_only". */
  functions: Readonly<Record<string, string>>;
  /** Why it is not covered, or only in part. */
  reasons: string[];
  /** The processes that use it. */
  processes: { pid: number; comm: string }[];
}

/** The probe has looked at all processes when it has had nothing to say for so long. */
const QUIET_MS = 1_000;
const LOOK_MAX_MS = 15_000;
/** More processes than this are not looked up. */
const PROCESSES_MAX = 16_384;

/** Puts the probe's lines about targets together; lines about other things are left alone. */
export class TargetList {
  readonly #targets = new Map<string, Target & { pid: number }>();

  /** Takes a line; whether it was about a target. */
  take({ code, message, details }: Diagnostic): boolean {
    const { target: path, pid } = details;
    if (typeof path !== "string" || typeof pid !== "number") return false;
    const key = `${pid} ${path}`;
    const target = this.#targets.get(key) ?? { path, pid, functions: {}, reasons: [], processes: [] };
    this.#targets.set(key, target);
    if (code === "target_attached") {
      target.functions = { ...asFunctions(details.libc), ...asFunctions(details.tls) };
    } else {
      target.reasons.push(message.replace(`${path}: `, ""));
    }
    return true;
  }

  /** What was said so far, in order; with the processes that use each file where /proc shows them. */
  list(): Target[] {
    const processes = processesByFile();
    return [...this.#targets.values()].map(({ pid, ...target }) => {
      const key = [...mappedFiles(pid)].find(([, path]) => path === target.path)?.[0];
      return { ...target, processes: (key && processes.get(key)) || [] };
    });
  }
}

/**
 * Attaches to everything that has connections or TLS, for about a second, and lets go again.
 * @throws RuntimeEvidenceError when the probe can't be started or no hook can be attached.
 */
export async function findTargets(probePath: string): Promise<Target[]> {
  const targets = new TargetList();
  let heardMs = performance.now();
  const filters = { include: [process.pid], exclude: [] };
  const none = { include: [], exclude: [] };
  const source = await startProbe(
    probePath,
    {
      probes: ["net_connect", "ssl_op"],
      own_processes: [],
      // Nothing passes: what is attached is of interest, not what happens.
      filters: { tree: filters, pid: none, comm: none, uid: none, cgroup: none, path: none },
    },
    (diagnostic) => {
      if (targets.take(diagnostic)) heardMs = performance.now();
    },
  );
  const drained = (async () => {
    for await (const _ of source.chunks) {
      // The frames are of no interest here, but a full pipe would hold the probe up.
    }
  })();
  const startedMs = performance.now();
  const isLooking = () =>
    performance.now() - heardMs < QUIET_MS && performance.now() - startedMs < LOOK_MAX_MS;
  while (isLooking()) await sleep(50);
  const found = targets.list();
  source.stop();
  await drained;
  await source.ended;
  return found;
}

function asFunctions(value: unknown): Record<string, string> {
  return typeof value === "object" && value !== null ? (value as Record<string, string>) : {};
}

/** Device and inode of each file that a process has executable mappings of, and its path. */
function mappedFiles(pid: number): Map<string, string> {
  const files = new Map<string, string>();
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
      const match = /^\S+ ..x. \S+ (\S+) (\d+) +(\/.*)$/.exec(line);
      if (match !== null) files.set(`${match[1]} ${match[2]}`, match[3] as string);
    }
  } catch {
    // It has ended, or may not be looked at.
  }
  return files;
}

function processesByFile(): Map<string, Target["processes"]> {
  const processes = new Map<string, Target["processes"]>();
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, PROCESSES_MAX).map(Number)) {
    for (const key of mappedFiles(pid).keys()) {
      const users = processes.get(key) ?? [];
      users.push({ pid, comm: commOf(pid) });
      processes.set(key, users);
    }
  }
  return processes;
}

function commOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
