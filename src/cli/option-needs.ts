/**
 * Options that mean nothing without others. One that is given all the same is refused, not passed over: whoever
 * wrote `--queue disk` counts on it.
 */
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** What some options need, all of them the same. */
export interface OptionNeed<Flags> {
  /** As members of the flags: `spoolDir` for `--spool-dir`. */
  readonly options: readonly (keyof Flags & string)[];
  readonly isMet: boolean;
  /** What is missing, and what to do about it; said after "--spool-dir needs". */
  readonly needed: string;
}

/** @throws RuntimeEvidenceError `usage` for the first need that is not met, naming all options that have it. */
export function requireNeeds<Flags>(flags: Flags, needs: readonly OptionNeed<Flags>[]): void {
  for (const { options, isMet, needed } of needs) {
    const given = isMet ? [] : options.filter((name) => flags[name] !== undefined).map(optionName);
    if (given.length === 0) continue;
    const verb = given.length === 1 ? "needs" : "need";
    throw new RuntimeEvidenceError("usage", `${given.join(", ")} ${verb} ${needed}`);
  }
}

function optionName(member: string): string {
  return `--${member.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
