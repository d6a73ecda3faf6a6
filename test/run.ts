/**
 * `make test`: mocha and cargo as jobs for two workers, one closing line.
 *
 *   kernel ──────► backends, one part ───────► cargo test
 *   everything else ─► backends, other part ─►
 *
 * Tests with a real kernel or server wait more than they work, so that two jobs at a time fit on two cores. The
 * first job is shown as it goes, the others when they are done.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";
interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

interface Run {
  code: number;
  output: string;
}

/** Runs a command; its output is shown as it comes, or at once when it has ended. */
function run(command: string, args: string[], show: "live" | "at-end"): Promise<Run> {
  return new Promise((resolve) => {
    let output = "";
    const end = (code: number) => {
      if (show === "at-end") process.stdout.write(output);
      resolve({ code, output });
    };
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (show === "live") process.stdout.write(chunk);
      });
    }
    child.on("error", (error) => {
      output += `cannot run ${command}: ${error.message}\n`;
      end(1);
    });
    child.on("close", (code) => end(code ?? 1));
  });
}

/** Test files by a glob of what stands between `test/` and `.test.ts`. */
function suites(glob: string): string[] {
  const endings = LONG ? ["test", "test-long"] : ["test"];
  return endings.map((ending) => `test/${glob}.${ending}.ts`);
}

async function mocha(job: string, args: string[], show: "live" | "at-end" = "at-end"): Promise<Tally> {
  const resultPath = `${ROOT}build/test-result-${job}.json`;
  mkdirSync(`${ROOT}build`, { recursive: true });
  rmSync(resultPath, { force: true });
  const reporter = ["--reporter", "test/reporter.ts", "--reporter-option", `result=${resultPath}`];
  const { code } = await run("mocha", [...reporter, ...args], show);
  try {
    const tally = JSON.parse(readFileSync(resultPath, "utf8")) as Tally;
    return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
  } catch {
    console.error("mocha ended without a result");
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

async function cargo(): Promise<Tally> {
  const manifest = ["--manifest-path", "native/Cargo.toml"];
  const args = ["test", "--release", "--locked", "--quiet", ...manifest, "--", "--nocapture"];
  const { code, output } = await run("cargo", args, "at-end");
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, ignored] of output.matchAll(/(\d+) passed; (\d+) failed; (\d+) ignored/g)) {
    tally.passed += Number(passed);
    tally.failed += Number(failed);
    tally.skipped += Number(ignored);
  }
  // libtest can't skip at run time: a test that could not run says so in a line, and passes.
  const skipped = [...output.matchAll(/^skipped \S+: /gm)].length;
  tally.passed -= skipped;
  tally.skipped += skipped;
  if (code !== 0 && tally.failed === 0) tally.failed = 1;
  return tally;
}

const JOBS: readonly (() => Promise<Tally>)[] = [
  () => mocha("kernel", suites("kernel/**/*"), "live"),
  () => mocha("rest", ["--ignore", "test/kernel/**", "--ignore", "test/backends/**", ...suites("**/*")]),
  () => mocha("backends-1", suites("backends/**/[a-e]*")),
  () => mocha("backends-2", suites("backends/**/[f-z]*")),
  cargo,
];
const WORKERS = 2;

const tallies: Tally[] = [];
const waiting = [...JOBS];
async function work(): Promise<void> {
  for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) tallies.push(await job());
}
await Promise.all(Array.from({ length: WORKERS }, work));
const sum = (key: keyof Tally) => tallies.reduce((total, tally) => total + tally[key], 0);
console.log(`\n${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
