/**
 * `verify`: is all evidence there, and what is known of the rest.
 */
import { Command } from "commander";
import { stringifyEvidence } from "../evidence/json.ts";
import { startProgress } from "../pipeline/stored-inputs.ts";
import { GAPS_MAX_DEFAULT, STREAMS_MAX_DEFAULT } from "../pipeline/stream-verifier.ts";
import type { Verdict } from "../pipeline/verdict.ts";
import { type VerifyResult, verify } from "../pipeline/verify.ts";
import {
  EXIT_ACCOUNTED,
  EXIT_BAD_INPUT,
  EXIT_INCOMPLETE,
  EXIT_OK,
  EXIT_UNENDED,
  exitCodeOf,
} from "./exit-code.ts";
import { addInputOptions, type InputFlags, openInputs } from "./input-options.ts";
import type { SetExitCode } from "./program.ts";
import { startProgressLine } from "./progress-line.ts";
import { parseCount } from "./quantity.ts";
import { verifyJson, verifyText } from "./verify-text.ts";

interface VerifyFlags extends InputFlags {
  json?: boolean;
  showGaps: number;
  gapsMax: number;
  streamsMax: number;
}

const EXIT_CODES: Readonly<Record<Verdict, number>> = {
  complete: EXIT_OK,
  accounted: EXIT_ACCOUNTED,
  unended: EXIT_UNENDED,
  incomplete: EXIT_INCOMPLETE,
  none: EXIT_BAD_INPUT,
};

export function verifyCommand(setExitCode: SetExitCode): Command {
  return addInputOptions(new Command("verify"))
    .description("say whether stored OTLP logs hold all evidence of their streams")
    .option("--json", "print one JSON value with everything that is known")
    .option("--show-gaps <count>", "gaps to name per stream", parseCount(0), 10)
    .option(
      "--gaps-max <count>",
      "most gaps to remember at a time, over all streams",
      parseCount(1),
      GAPS_MAX_DEFAULT,
    )
    .option("--streams-max <count>", "most streams", parseCount(1), STREAMS_MAX_DEFAULT)
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence verify logs.json
  runtime-evidence verify --json logs-*.json.gz | jq .verdict`,
    )
    .action(async (inputs: string[], flags: VerifyFlags) => setExitCode(await runVerify(inputs, flags)));
}

async function runVerify(paths: string[], flags: VerifyFlags): Promise<number> {
  const screen = startProgressLine(undefined);
  const inputs = await openInputs(paths, flags, screen.print);
  const progress = startProgress(inputs);
  const result = await verify({
    inputs,
    progress,
    gapsShownMax: flags.showGaps,
    gapsMax: flags.gapsMax,
    streamsMax: flags.streamsMax,
    rejectedShownMax: flags.showRejected,
    report: screen.print,
    onStart: (counts) => screen.watch(progress, () => counts.read),
  }).finally(() => screen.end());
  process.stdout.write(
    `${flags.json === true ? stringifyEvidence(verifyJson(result)) : verifyText(result)}\n`,
  );
  return exitCode(result);
}

/** What could not be read may hold what is missing, so it is not hidden behind a better verdict. */
function exitCode({ verdict, failure, badMessages, damaged }: VerifyResult): number {
  if (failure !== undefined) return exitCodeOf(failure.code);
  if (verdict === "incomplete") return EXIT_INCOMPLETE;
  return badMessages + damaged > 0 ? EXIT_BAD_INPUT : EXIT_CODES[verdict];
}
