/**
 * The status of a run as one line of JSON on standard error: whenever the process gets SIGUSR1, and, if asked for,
 * at intervals. The signal is not passed on to a command that is followed.
 */
import { InvalidArgumentError } from "commander";
import { parseDurationMs } from "./quantity.ts";

export const STATUS_OPTION = "--status [interval]";
export const STATUS_HELP =
  "say the status as a line of JSON at intervals (10s unless said); SIGUSR1 asks for one at any time";

/** With `--status` alone. */
const INTERVAL_DEFAULT_MS = 10_000;
const INTERVAL_MIN_MS = 100;

export interface StatusReports {
  /** What there is to say from now on; before, only that the run starts. */
  watch(statusOf: () => object): void;
  end(): void;
}

/** The value of `--status [interval]`. */
export function parseStatusInterval(text: string): number {
  const intervalMs = parseDurationMs(text);
  if (intervalMs < INTERVAL_MIN_MS) throw new InvalidArgumentError(`at least ${INTERVAL_MIN_MS}ms.`);
  return intervalMs;
}

/** Listens to SIGUSR1 from now on; call it before anything that takes time. */
export function startStatusReports(
  command: string,
  interval: number | true | undefined,
  print: (line: string) => void,
): StatusReports {
  let statusOf = (): object => ({ starting: true });
  const say = (): void => print(JSON.stringify({ command, time: new Date().toISOString(), ...statusOf() }));
  process.on("SIGUSR1", say);
  const timer = interval && setInterval(say, interval === true ? INTERVAL_DEFAULT_MS : interval);
  if (timer) timer.unref();
  return {
    watch: (status) => {
      statusOf = status;
    },
    end: () => {
      process.off("SIGUSR1", say);
      if (timer) clearInterval(timer);
    },
  };
}
