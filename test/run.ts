/**
 * `make test`: mocha and cargo in two lanes, one closing line.
 *
 *   kernel, backends ──────────────► (shown as it goes)
 *   everything else ─► cargo test ─► (shown when each is done)
 *
 * Tests with a real kernel or server wait more than they work, so that two lanes fit on two cores.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";
/** The folders of test/ whose tests use the machine: eBPF, servers. */
const MACHINE = ["kernel", "backends"];

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

function suites(folders: string): string[] {
  const endings = LONG ? ["test", "test-long"] : ["test"];
  return endings.map((ending) => `test/${folders}/**/*.${ending}.ts`);
}

async function mocha(lane: string, args: string[], show: "live" | "at-end"): Promise<Tally> {
  const resultPath = `${ROOT}build/test-result-${lane}.json`;
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

async function rest(): Promise<Tally[]> {
  const ignored = MACHINE.flatMap((folder) => ["--ignore", `test/${folder}/**`]);
  return [await mocha("rest", [...ignored, ...suites("**")], "at-end"), await cargo()];
}

const lanes = await Promise.all([mocha("machine", MACHINE.flatMap(suites), "live"), rest()]);
const tallies = lanes.flat();
const sum = (key: keyof Tally) => tallies.reduce((total, tally) => total + tally[key], 0);
console.log(`\n${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
