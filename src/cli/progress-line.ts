/**
 * Standard error of a command that reads files: lines, and on a terminal how far it is.
 */
import { progressText } from "../health/progress.ts";
import { startStatusLine } from "../health/status-line.ts";
import type { InputProgress } from "../pipeline/stored-inputs.ts";
import { printLine } from "./capture-console.ts";

export interface ProgressLine {
  /** A line above the progress. */
  print(line: string): void;
  /** Shows progress from now on; `more` is what else there is to say. */
  watch(progress: InputProgress, records: () => number, more?: () => string): void;
  end(): void;
}

/** `output` is what the command writes to: records on the same terminal leave no room for a progress line. */
export function startProgressLine(output: string | undefined): ProgressLine {
  if (output === "-" && process.stdout.isTTY) return { print: printLine, watch: () => {}, end: () => {} };
  let render = () => "";
  const status = startStatusLine(process.stderr, () => render());
  return {
    print: status.print,
    watch: (progress, records, more = () => "") => {
      const startMs = performance.now();
      render = () =>
        `${progressText({ ...progress, records: records() }, performance.now() - startMs)}${more()}`;
    },
    end: status.end,
  };
}
