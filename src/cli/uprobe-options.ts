/**
 * Options of `capture` about uprobes: which functions, and how much of them.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  ATTACH_POINTS_LIMIT,
  type CapturedEvent,
  DEFAULT_EVENTS,
  STACK_DEPTH_LIMIT,
  type UprobeOptions,
} from "../capture/probe-config.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { parseCount, repeatable } from "./quantity.ts";

/** Values of the options added by `addUprobeOptions`. */
export interface UprobeFlags {
  function?: string[];
  stackDepth?: number;
  symbolize?: boolean;
  once?: "process" | "container";
  rateLimit?: number;
  attachPointsMax?: number;
  uretprobes?: boolean;
}

/** The probe's own limit is that its configuration fits one line of 1 MiB. */
const SPEC_BYTES_MAX = 4096;

/** Adds the options that only uprobe events have. */
export function addUprobeOptions(command: Command): Command {
  return command
    .option(
      "--function <file:symbol>",
      "calls of these functions (function_call): 'libssl*:SSL_*', /usr/bin/app:main, /usr/bin/app:+0x1234; repeatable",
      repeatable(parseFunctionSpec),
    )
    .option(
      "--stack-depth <frames>",
      `return addresses of each function_call, up to ${STACK_DEPTH_LIMIT} (default: 0)`,
      atMost(STACK_DEPTH_LIMIT, 0),
    )
    .option("--symbolize", "say which functions the addresses of stacks are in; with --stack-depth")
    .addOption(
      new Option(
        "--once <scope>",
        "report a function's first call in each process or container only",
      ).choices(["process", "container"]),
    )
    .option(
      "--rate-limit <count>",
      "report at most this many calls of a function per second",
      atMost(2 ** 32 - 1, 1),
    )
    .option(
      "--attach-points-max <count>",
      `most functions to attach to, up to ${ATTACH_POINTS_LIMIT} (default: 1000)`,
      atMost(ATTACH_POINTS_LIMIT, 1),
    )
    .option(
      "--uretprobes",
      "see exits that the code does not tell by return probes, which have crashed programs",
    );
}

/** `LIBRARY-GLOB:SYMBOL-GLOB`, `/PATH:SYMBOL` or `/PATH:+0xOFFSET`; the probe reads the parts. */
function parseFunctionSpec(text: string): string {
  if (!/^[^:\0]+:[^\0]+$/.test(text)) {
    throw new InvalidArgumentError("write it as 'libssl*:SSL_*', /usr/bin/app:main or /usr/bin/app:+0x1234.");
  }
  if (Buffer.byteLength(text) > SPEC_BYTES_MAX) {
    throw new InvalidArgumentError(`it is longer than ${SPEC_BYTES_MAX} bytes.`);
  }
  if (/:\+/.test(text) && !/:\+0x[0-9a-fA-F]{1,16}$/.test(text)) {
    throw new InvalidArgumentError("an offset is hexadecimal: /usr/bin/app:+0x1234.");
  }
  return text;
}

function atMost(maximum: number, minimum: number): (text: string) => number {
  const parse = parseCount(minimum);
  return (text) => {
    const value = parse(text);
    if (value > maximum) throw new InvalidArgumentError(`at most ${maximum}.`);
    return value;
  };
}

/**
 * What the flags tell the probe.
 * @throws RuntimeEvidenceError `usage` when stacks are to be symbolised and none are taken.
 */
export function readUprobeOptions(flags: UprobeFlags): UprobeOptions {
  if (flags.symbolize === true && (flags.stackDepth ?? 0) === 0) {
    throw new RuntimeEvidenceError("usage", "--symbolize needs stacks: add --stack-depth 16");
  }
  return {
    ...(flags.function === undefined ? {} : { functions: flags.function.map((spec) => ({ spec })) }),
    ...(flags.stackDepth === undefined ? {} : { stack_depth_max: flags.stackDepth }),
    ...(flags.symbolize === undefined ? {} : { symbolize: flags.symbolize }),
    ...(flags.once === undefined ? {} : { once: flags.once }),
    ...(flags.rateLimit === undefined ? {} : { rate_limit_per_second: flags.rateLimit }),
    ...(flags.attachPointsMax === undefined ? {} : { attach_points_max: flags.attachPointsMax }),
    ...(flags.uretprobes === undefined ? {} : { uretprobes: flags.uretprobes }),
  };
}

/**
 * The events to capture: those named, or the default ones; `--function` adds function_call.
 * @throws RuntimeEvidenceError `usage` when function_call is named and no function is.
 */
export function resolveEvents(
  named: readonly CapturedEvent[] | undefined,
  flags: UprobeFlags,
): CapturedEvent[] {
  const events = new Set<CapturedEvent>(named ?? DEFAULT_EVENTS);
  if (flags.function !== undefined) events.add("function_call");
  else if (events.has("function_call")) {
    throw new RuntimeEvidenceError(
      "usage",
      "function_call needs to know which functions: add --function 'libssl*:SSL_*'",
    );
  }
  return [...events];
}
