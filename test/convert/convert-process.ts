/** Runs `convert` in a process of its own, fed through its standard input, and measures its memory. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** Says the largest resident set, in KiB, when the process ends. */
const SAY_MEMORY =
  "data:text/javascript,process.on('exit',()=>console.error('resident '+process.resourceUsage().maxRSS))";
const ERROR_CHARACTERS_MAX = 64 * 1024;

export interface ConvertRun {
  readonly exitCode: number | null;
  readonly stderr: string;
  readonly residentMib: number;
}

/** Ends the process after `timeoutMs`; it may also end before it has read everything. */
export async function runConvert(
  chunks: Iterable<Buffer>,
  { args = [], timeoutMs }: { args?: readonly string[]; timeoutMs: number },
): Promise<ConvertRun> {
  const child = spawn(
    process.execPath,
    ["--import", SAY_MEMORY, MAIN, "convert", "-", "--output", "/dev/null", ...args],
    { stdio: ["pipe", "ignore", "pipe"], timeout: timeoutMs, killSignal: "SIGKILL" },
  );
  let stderr = "";
  child.stderr.on("data", (text: Buffer) => {
    stderr = (stderr + text.toString()).slice(-ERROR_CHARACTERS_MAX);
  });
  const ended = once(child, "close");
  await feed(child.stdin, chunks);
  const [exitCode] = (await ended) as [number | null];
  const residentMib = Number(/^resident (\d+)$/m.exec(stderr)?.[1]) / 1024;
  return { exitCode, stderr, residentMib };
}

async function feed(
  stdin: NodeJS.WritableStream & { destroyed?: boolean },
  chunks: Iterable<Buffer>,
): Promise<void> {
  // The reader may close early, which is not an error of this side.
  const closed = new Promise<void>((resolve) => {
    stdin.on("error", () => resolve());
    stdin.on("close", () => resolve());
  });
  for (const chunk of chunks) {
    if (stdin.destroyed === true) return;
    let drained: () => void = () => {};
    const drain = new Promise<void>((resolve) => {
      drained = resolve;
    });
    stdin.once("drain", drained);
    if (stdin.write(chunk)) stdin.removeListener("drain", drained);
    else await Promise.race([drain, closed]);
  }
  stdin.end();
}
