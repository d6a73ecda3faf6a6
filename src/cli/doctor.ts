/**
 * `doctor`: what this machine allows, why, and what to do.
 */
import { Command } from "commander";
import { checkProbe, type ProbeCheck } from "../capture/check.ts";
import { findProbeBinary } from "../capture/probe-binary.ts";
import { CAPTURED_EVENTS } from "../capture/probe-config.ts";
import { VERSION } from "../evidence/version.ts";
import { EXIT_OK, exitCodeOf } from "./exit-code.ts";
import type { SetExitCode } from "./program.ts";

export function doctorCommand(setExitCode: SetExitCode): Command {
  return new Command("doctor")
    .description("say what this kernel and this user allow, probe by probe, and what to do")
    .option("--json", "as one JSON document")
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence doctor
  runtime-evidence doctor --json | jq '.hooks[] | select(.state == "off")'`,
    )
    .action(async ({ json }: { json?: boolean }) => {
      const check = await checkProbe(findProbeBinary());
      const report = { exporter_version: VERSION, node: process.version, ...check };
      process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : doctorText(check));
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

function advice({ reason, hint }: { reason?: string | undefined; hint?: string | undefined }): string {
  return `${reason ? `: ${reason}` : ""}${hint ? ` → ${hint}` : ""}`;
}
