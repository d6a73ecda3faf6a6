import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createProgram } from "../../src/cli/program.ts";
import { runCli } from "../kernel/live.ts";

const program = createProgram(() => {});

describe("help", function () {
  this.timeout(60_000);
  it("of each command ends with examples that name existing options", async () => {
    for (const command of program.commands) {
      const { code, stdout } = await runCli([command.name(), "--help"]);
      assert.equal(code, 0);
      const [, examples] = stdout.split("Examples:\n");
      assert.ok(examples !== undefined, `${command.name()} has no examples`);
      const lines = examples.trim().split("\n");
      assert.ok(lines.length >= 2, command.name());
      const known = command.options.flatMap(({ long, short }) => [long, short]);
      for (const line of lines) {
        const own =
          line
            .split(" -- ")[0]
            ?.split("|")
            .filter((part) => part.includes(`runtime-evidence ${command.name()}`)) ?? [];
        for (const option of own.join(" ").match(/ --?[a-z-]+/g) ?? []) {
          assert.ok(known.includes(option.trim()), `${line}: ${option}`);
        }
      }
    }
  });

  it("says defaults as they are written on a command line", async () => {
    for (const command of program.commands) {
      const { stdout } = await runCli([command.name(), "--help"]);
      assert.doesNotMatch(stdout, /default: [{[]/, command.name());
    }
  });

  it("documents every exit code", async () => {
    const { stdout } = await runCli(["--help"]);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) assert.match(stdout, new RegExp(`^ +${code}  `, "m"));
  });

  it("completion scripts are sound and know every command", () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      let script = "";
      const write = process.stdout.write;
      process.stdout.write = ((text: string) => {
        script += text;
        return true;
      }) as typeof write;
      try {
        createProgram(() => {}).parse(["completion", shell], { from: "user" });
      } finally {
        process.stdout.write = write;
      }
      for (const command of program.commands)
        assert.ok(script.includes(command.name()), `${shell} ${command.name()}`);
      if (shell === "bash") {
        const complete = `${script}\nCOMP_WORDS=(runtime-evidence capture --otlp-e); COMP_CWORD=2; _runtime_evidence; echo "\${COMPREPLY[@]}"`;
        assert.equal(execFileSync("bash", ["-c", complete]).toString().trim(), "--otlp-endpoint");
      }
    }
  });
});
