import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY, readText, repositoryFiles } from "./repository.ts";

const files = repositoryFiles();
const texts = files.filter(
  (path) => !path.startsWith("test/fixtures/") && !/\.(?:bin|gz|binpb|png)$/.test(path),
);

/** `path:line` of each line of `paths` that matches. */
function matches(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  );
}

describe("portable", () => {
  it("no file names a directory of somebody's machine", () => {
    // A home directory may stand in an example under the names that everybody uses for that.
    assert.deepEqual(
      matches(texts, /(?<![\w.-])\/(?:work|workspace|Users)\/\w|\/home\/(?!user\b|app\b|node\b)\w/),
      [],
    );
  });

  it("no prose sends the reader to a package registry's host", () => {
    const prose = texts.filter((path) => /\.(?:md|ya?ml|txt)$|(?:^|\/)Makefile$/.test(path));
    assert.ok(prose.includes("README.md"));
    const hosts =
      /\b(?:registry\.npmjs\.org|(?:index|static)\.crates\.io|(?:proxy|sum)\.golang\.org|deb\.debian\.org)\b/;
    assert.deepEqual(matches(prose, hosts), []);
  });

  it("locked packages name no other than the public registry and carry a checksum", () => {
    const lock = JSON.parse(readText("package-lock.json")) as {
      packages: Record<string, { resolved?: string; integrity?: string }>;
    };
    const wrong = Object.entries(lock.packages).flatMap(([path, { resolved, integrity }]) => {
      const isPublic = resolved === undefined || resolved.startsWith("https://registry.npmjs.org/");
      return path === "" || (isPublic && integrity?.startsWith("sha512-")) ? [] : [path];
    });
    assert.deepEqual(wrong, []);
  });

  it("versions of direct npm dependencies are exact", () => {
    const { dependencies, devDependencies } = JSON.parse(readText("package.json"));
    const versions: [string, string][] = Object.entries({ ...dependencies, ...devDependencies });
    assert.ok(versions.length > 5);
    assert.deepEqual(
      versions.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)),
      [],
    );
  });

  it("versions of direct Cargo dependencies are exact", () => {
    const manifest = readText("native/Cargo.toml");
    const sections = manifest
      .split(/^(?=\[)/m)
      .filter((section) => /^\[(?:.*\.)?(?:\w+-)?dependencies\]/.test(section));
    const dependencies = sections.flatMap((section) => section.match(/^[\w-]+ *=.*$/gm) ?? []);
    assert.ok(dependencies.length > 3);
    assert.deepEqual(
      dependencies.filter((line) => !/^[\w-]+ = (?:\{.*\bversion = )?"=\d+\.\d+\.\d+"/.test(line)),
      [],
    );
  });

  it("the schema is the published one, byte for byte", () => {
    const schema = readFileSync(join(REPOSITORY, "schema/runtime-evidence-v1.schema.json"));
    assert.equal(createHash("sha256").update(schema).digest("hex").slice(0, 7), "757e4f6");
  });

  it("the README's two commands are targets of the Makefile", () => {
    const makefile = readText("Makefile");
    for (const target of ["demo", "test"]) {
      assert.match(readText("README.md"), new RegExp(`^\\W*make ${target}\\b`, "m"));
      assert.match(makefile, new RegExp(`^${target}:`, "m"));
    }
  });

  it("make targets that the README and CONTRIBUTING name exist", () => {
    const makefile = readText("Makefile");
    const prose = readText("README.md") + readText("CONTRIBUTING.md");
    const named = new Set(Array.from(prose.matchAll(/(?:^|`)make ([a-z][a-z-]*)/gm), ([, target]) => target));
    const missing = [...named].filter((target) => !new RegExp(`^${target}:`, "m").test(makefile));
    assert.deepEqual(missing, []);
  });
});
