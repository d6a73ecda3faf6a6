/**
 * `doctor`: what this machine allows, why, and what to do.
 */
import { Command } from "commander";
import { checkProbe, type ProbeCheck } from "../capture/check.ts";
import { findProbeBinary } from "../capture/probe-binary.ts";
import { CAPTURED_EVENTS } from "../capture/probe-config.ts";
import { findTargets, type Target } from "../capture/targets.ts";
import { VERSION } from "../evidence/version.ts";
import { EXIT_OK, exitCodeOf } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";

const USERS_SHOWN_MAX = 8;

export function doctorCommand(setExitCode: SetExitCode): Command {
  return new Command("doctor")
    .description("say what this kernel and this user allow, probe by probe, and what to do")
    .option("--json", "as one JSON document")
    .option(
      "--targets",
      "also which programs and libraries uprobes cover: attaches to all of them for a second",
    )
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence doctor
  runtime-evidence doctor --json | jq '.hooks[] | select(.state == "off")'`,
    )
    .action(async (flags: { json?: boolean; targets?: boolean }) => {
      const probe = findProbeBinary();
      const check = await checkProbe(probe);
      const targets = flags.targets ? await findTargets(probe) : undefined;
      const report = { exporter_version: VERSION, node: process.version, ...check, targets };
      const text = `${doctorText(check)}${targets === undefined ? "" : targetsText(targets)}`;
      process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : text);
      const usable = check.hooks.some(({ state }) => state === "on");
      setExitCode(usable ? EXIT_OK : exitCodeOf("not-permitted"));
    });
}

function doctorText(check: ProbeCheck): string {
  const { kernel, capabilities } = check;
  const lines = [
    `runtime-evidence ${VERSION}, probe ${check.probe_version}, Node ${process.version}`,
    `kernel   ${kernel.release} ${kernel.machine}${check.lockdown === null ? "" : `, lockdown ${check.lockdown}`}`,
    `BTF      ${check.btf ? "yes" : "no: the kernel needs CONFIG_DEBUG_INFO_BTF"}`,
    `tracefs  ${check.tracefs.state}${advice(check.tracefs)}`,
    `rights   ${capabilities.effective.length === 0 ? "none: run as root" : `${capabilities.effective.length} capabilities`}`,
    "",
  ];
  for (const probe of CAPTURED_EVENTS) {
    const hooks = check.hooks.filter((hook) => hook.probe === probe);
    const on = hooks.filter(({ state }) => state === "on").length;
    lines.push(`${probe.padEnd(13)} ${on === 0 ? "off" : on === hooks.length ? "on" : "partly on"}`);
    for (const hook of hooks) lines.push(`  ${hook.hook.padEnd(24)} ${hook.state}${advice(hook)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** One target: what of it is seen, why not the rest, and who uses it. */
export function targetLines({ path, functions, reasons, processes }: Target): string[] {
  const seen = Object.entries(functions).map(
    ([name, state]) => `${name}${state === "full" ? "" : ` (${state.replace("_", " ")})`}`,
  );
  const lines = [`${path}: ${seen.length === 0 ? "not covered" : seen.join(", ")}`];
  lines.push(...reasons.map((reason) => `  ${reason}`));
  if (processes.length > 0) {
    const users = processes.slice(0, USERS_SHOWN_MAX).map(({ pid, comm }) => `${comm}[${pid}]`);
    const more = processes.length > USERS_SHOWN_MAX ? ` and ${processes.length - USERS_SHOWN_MAX} more` : "";
    lines.push(`  used by ${users.join(" ")}${more}`);
  }
  return lines;
}

function targetsText(targets: readonly Target[]): string {
  const lines = targets.flatMap(targetLines).map((line) => `  ${line}`);
  return `\ntargets\n${lines.join("\n")}\n`;
}

function advice({ reason, hint }: { reason?: string | undefined; hint?: string | undefined }): string {
  return `${reason ? `: ${reason}` : ""}${hint ? ` → ${hint}` : ""}`;
}
