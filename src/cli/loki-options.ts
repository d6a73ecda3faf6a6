/**
 * Options of `convert` about a running Loki.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { LokiReadOptions } from "../convert/loki-client.ts";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { requireNeeds } from "./option-needs.ts";
import { parsePeriodNs, parsePointInTimeNs } from "./point-in-time.ts";
import { repeatable } from "./quantity.ts";

/** Values of the options added by `addLokiOptions`. */
export interface LokiFlags {
  lokiUrl?: string;
  query?: string;
  since?: bigint;
  fromTime?: bigint;
  toTime?: bigint;
  tenant?: string;
  header?: string[];
  headerFile?: string;
}

/** What only a Loki that is read can be asked for. */
const LOKI_OPTIONS = [
  "query",
  "since",
  "fromTime",
  "toTime",
  "tenant",
  "header",
  "headerFile",
] as const satisfies readonly (keyof LokiFlags)[];

const SINCE_DEFAULT = "1h";
/** A file of headers is a few lines. */
const HEADER_FILE_CHARACTERS_MAX = 64 * 1024;

export function addLokiOptions(command: Command): Command {
  return command
    .option("--loki-url <url>", "read from this Loki instead of files; with --query")
    .option("--query <logql>", `what to read, for example '{service_name="runtime-evidence"}'`)
    .option(
      "--since <period>",
      `read what is newer, such as 30m, 6h, 7d (default: ${SINCE_DEFAULT})`,
      parsePeriodNs,
    )
    .option("--from-time <time>", "read from this time on, instead of --since", parsePointInTimeNs)
    .option("--to-time <time>", "read up to this time (default: now)", parsePointInTimeNs)
    .option("--tenant <id>", "the tenant of Loki to read (X-Scope-OrgID)")
    .option("--header <name=value>", "send this header to Loki; repeatable", repeatable(String))
    .option("--header-file <file>", 'send the headers in this file to Loki, one "Name: value" a line');
}

/**
 * What to ask Loki; nothing when no Loki is named.
 * @throws RuntimeEvidenceError `usage` where options are missing or make no sense together.
 */
export function resolveLoki(flags: LokiFlags, report: (line: string) => void): LokiReadOptions | undefined {
  const { lokiUrl, query, since, fromTime, toTime, tenant } = flags;
  requireNeeds(flags, [{ options: LOKI_OPTIONS, isMet: lokiUrl !== undefined, needed: "--loki-url" }]);
  if (lokiUrl === undefined) return undefined;
  if (query === undefined)
    throw usage(`--loki-url needs --query, for example '{service_name="runtime-evidence"}'`);
  if (since !== undefined && fromTime !== undefined)
    throw usage("--since and --from-time are two starts: give one");
  const endNs = toTime ?? BigInt(Date.now()) * 1_000_000n;
  const startNs = fromTime ?? endNs - (since ?? parsePeriodNs(SINCE_DEFAULT));
  if (startNs >= endNs) throw usage("the time to read from is not before the time to read to");
  return {
    url: lokiUrl,
    query,
    startNs,
    endNs,
    headers: readHeaders(flags),
    ...(tenant === undefined ? {} : { tenant }),
    report,
  };
}

function readHeaders({ header = [], headerFile }: LokiFlags): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  if (headerFile !== undefined) {
    for (const line of readHeaderFile(headerFile)) {
      if (line.trim() !== "" && !line.startsWith("#"))
        addHeader(headers, line, ":", `a line of ${headerFile}`);
    }
  }
  for (const text of header) addHeader(headers, text, "=", "--header");
  return headers;
}

function readHeaderFile(path: string): string[] {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length <= HEADER_FILE_CHARACTERS_MAX) return text.split(/\r?\n/);
  } catch (cause) {
    throw new RuntimeEvidenceError("not-found", `cannot read ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  throw usage(`${path} is too large for a file of headers`);
}

/** Values may be secrets, so that none is in a message. */
function addHeader(headers: Map<string, string>, text: string, separator: string, where: string): void {
  const at = text.indexOf(separator);
  const name = text.slice(0, at).trim();
  const value = text.slice(at + 1).trim();
  if (at < 1 || !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) {
    throw usage(`${where} is no header: write it as Name${separator}${separator === ":" ? " " : ""}value`);
  }
  headers.set(name.toLowerCase(), value);
}

function usage(message: string): RuntimeEvidenceError {
  return new RuntimeEvidenceError("usage", message);
}
