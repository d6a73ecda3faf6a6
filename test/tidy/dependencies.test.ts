import assert from "node:assert/strict";
import { importsOf, readText, repositoryFiles } from "./repository.ts";

/** From the outside in. A folder may import from the ones in rows below its own, never from its own row. */
const LAYERS = [
  ["cli"],
  ["pipeline", "sdk"],
  ["capture", "enrich", "delivery", "receive", "convert", "spans", "health"],
  ["frames", "otlp"],
  ["evidence"],
];

const modules = repositoryFiles().filter((path) => /^src\/.*\.ts$/.test(path));

function layerOf(path: string): number {
  const folder = path.split("/")[1] as string;
  return LAYERS.findIndex((folders) => folders.includes(folder));
}

function sameFolder(one: string, other: string): boolean {
  return one.split("/")[1] === other.split("/")[1];
}

describe("dependencies", () => {
  it("the scan of imports sees imports", () => {
    const edges = modules.flatMap(importsOf);
    assert.ok(edges.length > modules.length / 2, `${edges.length} imports in ${modules.length} modules`);
    for (const path of modules) {
      const quoted = readText(path).match(/(?:from|import\(?)\s*["']\.\.?\//g) ?? [];
      assert.equal(importsOf(path).length, quoted.length, path);
    }
  });

  it("each folder of src is a layer", () => {
    const strangers = modules.filter((path) => path.split("/").length > 2 && layerOf(path) === -1);
    assert.deepEqual(strangers, []);
  });

  it("imports go from the outside in, and never to a sibling folder", () => {
    const wrong: string[] = [];
    for (const path of modules) {
      // src/index.ts is the public face of all layers.
      if (path.split("/").length === 2) continue;
      for (const imported of importsOf(path)) {
        const inward = layerOf(imported) > layerOf(path);
        if (!sameFolder(path, imported) && !inward) wrong.push(`${path} imports ${imported}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it("imported modules exist and are part of src", () => {
    const known = new Set(modules);
    const wrong = modules.flatMap((path) =>
      importsOf(path).flatMap((imported) => (known.has(imported) ? [] : [`${path} imports ${imported}`])),
    );
    assert.deepEqual(wrong, []);
  });

  it("no module is dead: each is reached from the command, the public face or a build step", () => {
    const buildSteps = `${readText("Makefile")}\n${readText("package.json")}`;
    const isEntry = (path: string) =>
      path === "src/cli/main.ts" || path === "src/index.ts" || buildSteps.includes(`node ${path}`);
    const reached = new Set<string>();
    const visit = (path: string): void => {
      if (reached.has(path) || !modules.includes(path)) return;
      reached.add(path);
      importsOf(path).forEach(visit);
    };
    modules.filter(isEntry).forEach(visit);
    assert.ok(reached.has("src/cli/main.ts"), "src/cli/main.ts is there");
    assert.deepEqual(
      modules.filter((path) => !reached.has(path)),
      [],
    );
  });
});
