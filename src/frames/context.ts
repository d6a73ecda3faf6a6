/**
 * What the frames of a stream said that later frames of it are read with.
 */
import { AttachPoints } from "./attach-points.ts";
import { CaptureClock, type ClockType } from "./clock.ts";
import { ProcessRuntimes } from "./process-runtimes.ts";
import { StackSymbols } from "./stack-symbols.ts";

/** One per stream. The frame loop fills it; whoever reads fields of events reads it. */
export interface FrameContext {
  readonly clock: CaptureClock;
  readonly attachPoints: AttachPoints;
  readonly runtimes: ProcessRuntimes;
  readonly stackSymbols: StackSymbols;
}

/** The context of a stream that has not begun. */
export function createFrameContext(clock: ClockType): FrameContext {
  return {
    clock: new CaptureClock(clock),
    attachPoints: new AttachPoints(),
    runtimes: new ProcessRuntimes(),
    stackSymbols: new StackSymbols(),
  };
}
