/**
 * What signals do to a run.
 *
 * Without a command, the first one ends the run in order, the second one soon, with the spool in order and the books
 * told, and the third one at once. With a command, signals are for the command, whose end ends the run.
 */
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import type { RunningCapture } from "../pipeline/capture.ts";

const { SIGHUP, SIGINT, SIGQUIT, SIGTERM } = constants.signals;
const HANDLED = { SIGHUP, SIGINT, SIGQUIT, SIGTERM } as const;
/** A terminal sends these to everybody in its foreground: the command has them already. */
const FROM_KEYS: readonly number[] = [SIGINT, SIGQUIT];

/** What signals are for: a command, if there is one, and something that can be stopped. */
export type Stoppable = Pick<RunningCapture, "command" | "stop" | "abort">;

/** Handles signals for `running` until the returned function is called. */
export function handleSignals({ command, stop, abort }: Stoppable): () => void {
  let signals = 0;
  const onSignal = (_: NodeJS.Signals, number: number): void => {
    signals++;
    if (command !== undefined) {
      if (!FROM_KEYS.includes(number) || !inForeground()) command.forward(number);
      return;
    }
    if (signals > 2) process.exit(128 + number);
    if (signals === 2) abort();
    else stop();
  };
  for (const name of Object.keys(HANDLED)) process.on(name, onSignal);
  return () => {
    for (const name of Object.keys(HANDLED)) process.off(name, onSignal);
  };
}

/** Whether our process group is the foreground of a terminal: fields pgrp and tpgid of proc(5), /proc/PID/stat. */
function inForeground(): boolean {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return fields[2] !== undefined && fields[2] === fields[5];
}
