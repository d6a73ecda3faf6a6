/**
 * Asks the probe what this kernel and this user allow, hook by hook.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { HookState } from "../frames/control.ts";

const CHECK_TIMEOUT_MS = 60_000;

/** The probe's own report (`runtime-evidence-probe check`). */
export interface ProbeCheck {
  kernel: { release: string; machine: string };
  probe_version: string;
  btf: boolean;
  capabilities: { effective: string[] };
  tracefs: { state: "on" | "off"; reason?: string; hint?: string };
  unprivileged_bpf_disabled: number | null;
  lockdown: string | null;
  hooks: HookState[];
}

/**
 * Loads and attaches every hook for a moment.
 * @throws RuntimeEvidenceError `probe-failed` when the probe can't say.
 */
export async function checkProbe(path: string): Promise<ProbeCheck> {
  try {
    const { stdout } = await promisify(execFile)(path, ["check"], { timeout: CHECK_TIMEOUT_MS });
    return JSON.parse(stdout) as ProbeCheck;
  } catch (cause) {
    throw new RuntimeEvidenceError("probe-failed", `${path} check: ${(cause as Error).message}`, { cause });
  }
}
