/**
 * The exporter has no use for root: once the probe runs and files are open, it becomes another user.
 */
import { readFileSync } from "node:fs";
import { RuntimeEvidenceError } from "../evidence/error.ts";

/** Who to become; nobody owns nothing on any system. */
export const EXPORTER_USER_DEFAULT = "nobody";

export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/**
 * Looks `name` (or a numeric id, whose group is then the same number) up in /etc/passwd.
 * @throws RuntimeEvidenceError `usage` when there is no such user, or it is root.
 */
export function findAccount(name: string, passwd: string = readFileSync("/etc/passwd", "utf8")): Account {
  for (const line of passwd.split("\n")) {
    const [user, , uid, gid] = line.split(":");
    if (gid === undefined || (user !== name && uid !== name)) continue;
    return notRoot({ name: user as string, uid: Number(uid), gid: Number(gid) });
  }
  // The highest id, 2^32 - 1, means "no change" to setuid(2).
  if (/^\d{1,10}$/.test(name) && Number(name) < 2 ** 32 - 1)
    return notRoot({ name, uid: Number(name), gid: Number(name) });
  throw new RuntimeEvidenceError("usage", `--user ${name}: there is no such user`);
}

function notRoot(account: Account): Account {
  if (account.uid !== 0) return account;
  throw new RuntimeEvidenceError("usage", "--user: the exporter never runs as root; choose another user");
}

/** Whether this process has root to give up. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Becomes `account` for good: real, effective and saved ids, and no supplementary groups. */
export function giveUpRoot(account: Account): void {
  process.setgroups?.([]);
  process.setgid?.(account.gid);
  process.setuid?.(account.uid);
  if (process.getuid?.() !== account.uid || process.geteuid?.() !== account.uid) {
    throw new RuntimeEvidenceError("not-permitted", `cannot become ${account.name}`);
  }
}
