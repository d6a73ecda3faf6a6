import assert from "node:assert/strict";
import { Command } from "commander";
import {
  addUprobeOptions,
  readUprobeOptions,
  resolveEvents,
  type UprobeFlags,
} from "../../src/cli/uprobe-options.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";

function parse(...words: string[]): UprobeFlags {
  const command = addUprobeOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(words, { from: "user" });
  return command.opts();
}

const refused = (words: string[], reason: RegExp) => assert.throws(() => parse(...words), reason);

describe("options about uprobes", () => {
  it("reach the probe under its own names", () => {
    const flags = parse(
      ...["--function", "libssl*:SSL_*", "--function", "/usr/bin/app:+0x1a2b", "--stack-depth", "16"],
      ...["--symbolize"],
      ...["--once", "container", "--rate-limit", "100", "--attach-points-max", "5000", "--uretprobes"],
    );
    assert.deepEqual(readUprobeOptions(flags), {
      functions: [{ spec: "libssl*:SSL_*" }, { spec: "/usr/bin/app:+0x1a2b" }],
      stack_depth_max: 16,
      symbolize: true,
      once: "container",
      rate_limit_per_second: 100,
      attach_points_max: 5000,
      uretprobes: true,
    });
  });

  it("to symbolise stacks that are not taken is refused with what to add", () => {
    for (const words of [["--symbolize"], ["--symbolize", "--stack-depth", "0"]]) {
      assert.throws(
        () => readUprobeOptions(parse(...words)),
        (error) => error instanceof RuntimeEvidenceError && /--stack-depth/.test(error.message),
      );
    }
  });

  it("that are not given are left to the probe", () => {
    assert.deepEqual(readUprobeOptions(parse()), {});
  });

  it("take demangled names, whose colons belong to the symbol", () => {
    const { function: functions } = parse("--function", "app:alloc::vec::Vec<T>::push");
    assert.deepEqual(functions, ["app:alloc::vec::Vec<T>::push"]);
  });

  it("beyond their limits are refused with the limit", () => {
    refused(["--stack-depth", "128"], /at most 127/);
    refused(["--attach-points-max", "10001"], /at most 10000/);
    refused(["--attach-points-max", "0"], /from 1 up/);
    refused(["--rate-limit", "0"], /from 1 up/);
    refused(["--once", "host"], /process, container/);
  });

  it("that name no function are refused with the forms", () => {
    for (const spec of [
      "SSL_read",
      ":SSL_read",
      "libssl:",
      "app:+12",
      "app:+0xzz",
      `a:${"x".repeat(5000)}`,
    ]) {
      refused(["--function", spec], /write it as|hexadecimal|longer than/);
    }
  });
});

describe("events to capture", () => {
  it("are those without uprobes when none are named", () => {
    assert.deepEqual(resolveEvents(undefined, {}), ["file_open", "process_exec", "tcp_state"]);
  });

  it("include function_call as soon as a function is named", () => {
    const flags = { function: ["libssl*:SSL_*"] };
    assert.deepEqual(resolveEvents(undefined, flags).at(-1), "function_call");
    assert.deepEqual(resolveEvents(["ssl_op"], flags), ["ssl_op", "function_call"]);
    assert.deepEqual(resolveEvents(["function_call"], flags), ["function_call"]);
  });

  it("with function_call and no function are refused", () => {
    assert.throws(
      () => resolveEvents(["function_call"], {}),
      (error) => error instanceof RuntimeEvidenceError && /--function/.test(error.message),
    );
  });
});
