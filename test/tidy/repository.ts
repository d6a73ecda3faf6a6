/** The files of this repository, as the tidy tests see them: tracked ones and those about to be. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const REPOSITORY = new URL("../../", import.meta.url).pathname;

/** Paths below the repository, sorted; nothing that git ignores, nothing deleted. */
export function repositoryFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: REPOSITORY,
    encoding: "utf8",
    maxBuffer: 16 * 1024 * 1024,
  });
  return [...new Set(listed.split("\0"))]
    .filter((path) => path !== "" && existsSync(join(REPOSITORY, path)))
    .sort();
}

export function readText(path: string): string {
  return readFileSync(join(REPOSITORY, path), "utf8");
}

/** Written by a generator: its size and shape are the generator's business. */
export function isGenerated(path: string): boolean {
  return /\.gen\.[a-z]+$/.test(path);
}

/** The repository's own modules that `path` imports, dynamic and type-only imports included. */
export function importsOf(path: string): string[] {
  const imports = readText(path).matchAll(
    /^\s*(?:import|export)\b[^;"']*?\bfrom\s*["'](\.[^"']+)["']|\bimport\s*\(?\s*["'](\.[^"']+)["']/gm,
  );
  return Array.from(imports, ([, from, bare]) => join(dirname(path), (from ?? bare) as string));
}
