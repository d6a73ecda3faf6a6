/**
 * Filters of `capture`. Each names values to keep, and has an `--exclude-…` form that names values to leave out.
 */
import { statSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { type Filters, openFilters } from "../capture/probe-config.ts";
import { repeatable } from "./quantity.ts";

/** Keys of the kernel's tables: a comm is 15 bytes (TASK_COMM_LEN less NUL), a path prefix at most 256. */
const COMM_BYTES_MAX = 15;
const PATH_PREFIX_BYTES_MAX = 256;
const CGROUP_ROOTS = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] as const;

/** PID_MAX_LIMIT of include/linux/threads.h. */
const PID_MAX = 4 * 1024 * 1024;

function parsePid(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text) || Number(text) > PID_MAX) {
    throw new InvalidArgumentError("a process id is needed.");
  }
  return Number(text);
}

function parseUid(text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** 32)
    throw new InvalidArgumentError("a user id is needed.");
  return Number(text);
}

function parseBytes(bytesMax: number): (text: string) => string {
  return (text) => {
    if (text === "" || Buffer.byteLength(text) > bytesMax) {
      throw new InvalidArgumentError(`1 to ${bytesMax} bytes are needed.`);
    }
    return text;
  };
}

/** An id in decimal, or a path below the cgroup v2 root, whose inode number is the id. */
function parseCgroup(text: string): string {
  if (/^\d{1,20}$/.test(text)) return text;
  for (const root of CGROUP_ROOTS) {
    const path = text.startsWith(`${root}/`) ? text : `${root}/${text.replace(/^\/+/, "")}`;
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (found?.isDirectory()) return String(found.ino);
  }
  throw new InvalidArgumentError("a cgroup's id, or its path below the cgroup v2 root, is needed.");
}

const FILTERS = [
  { name: "pid", value: "<pid>", what: "processes with this id", parse: parsePid },
  { name: "tree", value: "<pid>", what: "this process and its descendants", parse: parsePid },
  { name: "comm", value: "<name>", what: "processes with this name", parse: parseBytes(COMM_BYTES_MAX) },
  { name: "uid", value: "<uid>", what: "processes of this user", parse: parseUid },
  { name: "cgroup", value: "<id|path>", what: "processes in this cgroup", parse: parseCgroup },
  {
    name: "path",
    value: "<prefix>",
    what: "opens of paths that begin so",
    parse: parseBytes(PATH_PREFIX_BYTES_MAX),
  },
] as const;

/** Adds both forms of each filter. */
export function addFilterOptions(command: Command): Command {
  for (const { name, value, what, parse } of FILTERS) {
    const collect = repeatable<string | number>(parse);
    command.option(`--${name} ${value}`, `only ${what}; repeatable`, collect);
    command.option(`--exclude-${name} ${value}`, `all but ${what}; repeatable`, collect);
  }
  return command;
}

/** The filters among a command's parsed options. */
export function readFilters(flags: Readonly<Record<string, unknown>>): Filters {
  const filters = openFilters();
  for (const { name } of FILTERS) {
    const exclude = `exclude${name[0]?.toUpperCase()}${name.slice(1)}`;
    Object.assign(filters, { [name]: { include: flags[name] ?? [], exclude: flags[exclude] ?? [] } });
  }
  return filters;
}
