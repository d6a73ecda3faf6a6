/**
 * Extra facts about an event that are no part of v1. They travel as attributes of the log record
 * (docs/attributes.md) and stay out of v1 output unless asked for.
 */
export interface Extensions {
  /** The path was not readable at sys_enter, and was read at sys_exit. */
  pathRead?: "exit";
  /** The `Raw` members are the exact bytes, in base64, of a string that is not UTF-8. */
  pathRaw?: string;
  filenameRaw?: string;
  argv0Raw?: string;
  commRaw?: string;
  /** How the process of a socket was found. */
  attribution?: "current" | "owner";
  /** Process id in the process's own pid namespace, where it differs from `pid`. */
  namespacePid?: number;
  /** When the process started, in nanoseconds since boot. */
  startTime?: number | bigint;
  /** Only the entry of the function was probed, so that its result is unknown. */
  entryOnly?: true;
  /** Of an `entryOnly` TLS operation: the bytes that were asked for. */
  bytesRequested?: number | bigint;
  /** What is at each address of `stack`; an empty string where it is not known. */
  stackSymbols?: readonly string[];
  /** A string of the event was longer than its limit and was cut. */
  truncated?: boolean;
}
