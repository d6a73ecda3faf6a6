import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isGenerated, REPOSITORY, readText, repositoryFiles } from "./repository.ts";

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

const sources = repositoryFiles().filter(
  (path) =>
    /^(?:src|native|bpf|test|bench|semconv|examples)\/.*\.(?:ts|rs|c|h|go)$/.test(path) && !isGenerated(path),
);

/** Functions of a file that a formatter has written: from the line that starts one to its closing brace. */
function longFunctions(path: string, start: RegExp): string[] {
  const lines = readText(path).split("\n");
  return lines.flatMap((line, index) => {
    const indent = start.exec(line)?.[1];
    if (indent === undefined || line.endsWith(";")) return [];
    const length = lines.slice(index).indexOf(`${indent}}`);
    return length > FUNCTION_LINES_MAX ? [`${path}:${index + 1} has ${length} lines`] : [];
  });
}

describe("size", () => {
  it(`hand-written files have at most ${FILE_LINES_MAX} lines`, () => {
    assert.ok(sources.length > 20);
    const long = sources.flatMap((path) => {
      const lines = readText(path).trimEnd().split("\n").length;
      return lines > FILE_LINES_MAX ? [`${path} has ${lines}`] : [];
    });
    assert.deepEqual(long, []);
  });

  it(`Rust, C and Go functions have at most ${FUNCTION_LINES_MAX} lines`, () => {
    const rust = /^(\s*)(?:pub(?:\([a-z]+\))? )?(?:(?:const|async|unsafe|extern "C") )*fn /;
    const c = /^()(?:[A-Za-z_].*\(.*|SEC\(.*\))$/;
    const go = /^()func /;
    const long = sources.flatMap((path) => {
      if (path.endsWith(".rs")) return longFunctions(path, rust);
      if (path.endsWith(".go")) return longFunctions(path, go);
      return path.endsWith(".ts") ? [] : longFunctions(path, c);
    });
    assert.deepEqual(long, []);
  });

  it(`TypeScript functions have at most ${FUNCTION_LINES_MAX} lines`, function () {
    this.timeout(20_000);
    const directory = mkdtempSync(join(tmpdir(), "tidy-"));
    try {
      const rule = { level: "error", options: { maxLines: FUNCTION_LINES_MAX } };
      const rules = { preset: "none", complexity: { noExcessiveLinesPerFunction: rule } };
      writeFileSync(join(directory, "biome.json"), JSON.stringify({ root: true, linter: { rules } }));
      const paths = sources.filter((path) => path.endsWith(".ts") && !path.startsWith("test/"));
      const biome = join(REPOSITORY, "node_modules/.bin/biome");
      execFileSync(biome, ["lint", `--config-path=${directory}`, "--colors=off", ...paths], {
        cwd: REPOSITORY,
        encoding: "utf8",
        stdio: "pipe",
      });
    } catch (thrown) {
      const { stdout, stderr } = thrown as { stdout: string; stderr: string };
      assert.fail(`${stdout}${stderr}`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
