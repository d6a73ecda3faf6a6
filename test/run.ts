/**
 * `make test`: mocha and cargo, one closing line.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MOCHA_RESULT = `${ROOT}build/test-result.json`;
const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

function run(command: string, args: string[], onOutput?: (text: string) => void): Promise<number> {
  return new Promise((resolve) => {
    const stdio = onOutput ? "pipe" : "inherit";
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", stdio, stdio] });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        process.stdout.write(chunk);
        onOutput?.(chunk.toString());
      });
    }
    child.on("error", (error) => {
      console.error(`cannot run ${command}: ${error.message}`);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

async function mocha(): Promise<Tally> {
  mkdirSync(`${ROOT}build`, { recursive: true });
  rmSync(MOCHA_RESULT, { force: true });
  const suites = LONG ? ["test/**/*.test.ts", "test/**/*.test-long.ts"] : ["test/**/*.test.ts"];
  const reporter = ["--reporter", "test/reporter.ts", "--reporter-option", `result=${MOCHA_RESULT}`];
  const code = await run("mocha", [...reporter, ...suites]);
  try {
    const tally = JSON.parse(readFileSync(MOCHA_RESULT, "utf8")) as Tally;
    return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
  } catch {
    console.error("mocha ended without a result");
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

async function cargo(): Promise<Tally> {
  let output = "";
  const manifest = ["--manifest-path", "native/Cargo.toml"];
  const args = ["test", "--release", "--locked", "--quiet", ...manifest, "--", "--nocapture"];
  const code = await run("cargo", args, (text) => {
    output += text;
  });
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

const tallies = [await mocha(), await cargo()];
const sum = (key: keyof Tally) => tallies.reduce((total, tally) => total + tally[key], 0);
console.log(`\n${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
