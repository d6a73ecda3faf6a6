/**
 * `make test`: mocha and cargo as jobs for two workers, and the closing lines.
 *
 *   kernel ──────► backends, one part ───────► cargo test
 *   everything else ─► backends, other part ─►
 *
 * Tests with a real kernel or server wait more than they work, so that two jobs at a time fit on two cores. The
 * first job is shown as it goes, the others when they are done. Tests of these jobs have a second try, the
 * others have none (CONTRIBUTING.md says why).
 */
import { fileURLToPath } from "node:url";
import { runCargo } from "./run/cargo-job.ts";
import { closingLines, type EndedJob, exitCode } from "./run/closing.ts";
import type { Show } from "./run/command.ts";
import { runMocha } from "./run/mocha-job.ts";
import type { Outcome } from "./run/outcome.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";
const WORKERS = 2;
/** For each job; ten times what it takes. */
const TIMEOUT_MS = (LONG ? 240 : 40) * 60_000;
const SECOND_TRY = ["--retries", "1"];

interface Job {
  readonly name: string;
  readonly run: () => Promise<Outcome>;
}

/** Test files by a glob of what stands between `test/` and `.test.ts`. */
function suites(glob: string): string[] {
  const endings = LONG ? ["test", "test-long"] : ["test"];
  return endings.map((ending) => `test/${glob}.${ending}.ts`);
}

function mocha(name: string, args: readonly string[], show: Show = "at-end"): Job {
  const resultPath = `${ROOT}build/test-result-${name}.json`;
  return { name, run: () => runMocha({ resultPath, args, options: { show, timeoutMs: TIMEOUT_MS } }) };
}

const OTHERS = ["--ignore", "test/kernel/**", "--ignore", "test/backends/**", ...suites("**/*")];
const waiting: Job[] = [
  mocha("kernel", [...SECOND_TRY, ...suites("kernel/**/*")], "live"),
  mocha("rest", OTHERS),
  mocha("backends-1", [...SECOND_TRY, ...suites("backends/**/[a-e]*")]),
  mocha("backends-2", [...SECOND_TRY, ...suites("backends/**/[f-z]*")]),
  { name: "cargo", run: () => runCargo("native/Cargo.toml", { timeoutMs: TIMEOUT_MS }) },
];

const ended: EndedJob[] = [];
async function work(): Promise<void> {
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
    const startedMs = performance.now();
    const outcome = await job.run();
    ended.push({ name: job.name, durationMs: performance.now() - startedMs, outcome });
  }
}
await Promise.all(Array.from({ length: WORKERS }, work));
console.log(`\n${closingLines(ended).join("\n")}`);
process.exitCode = exitCode(ended);
