import assert from "node:assert/strict";
import { readText, repositoryFiles } from "./repository.ts";

const files = repositoryFiles();

describe("names", () => {
  it("src is at most two folders deep", () => {
    assert.deepEqual(
      files.filter((path) => path.startsWith("src/") && path.split("/").length > 4),
      [],
    );
  });

  it("a file is named by what it is about, never a drawer for everything", () => {
    const drawer = /(?:^|[/._-])(?:utils?|helpers?|commons?|managers?|misc|stuff)(?:[/._-]|$)/i;
    assert.deepEqual(
      files.filter((path) => drawer.test(path)),
      [],
    );
  });

  it("TypeScript files are kebab-case", () => {
    assert.deepEqual(
      files.filter(
        (path) => path.endsWith(".ts") && !/^(?:[a-z0-9-]+\/)*[a-z0-9-]+(?:\.[a-z-]+)*\.ts$/.test(path),
      ),
      [],
    );
  });

  it("decisions are numbered without gaps and named by their subject", () => {
    const decisions = files.filter(
      (path) => path.startsWith("docs/decisions/") && !path.endsWith("README.md"),
    );
    decisions.forEach((path, index) => {
      const number = String(index + 1).padStart(4, "0");
      assert.match(path, new RegExp(`^docs/decisions/${number}-[a-z0-9-]+\\.md$`));
    });
  });

  it("each file for users in otel-config is named in the README", () => {
    const readme = readText("README.md");
    const unnamed = files.filter((path) => path.startsWith("otel-config/") && !readme.includes(path));
    assert.deepEqual(unnamed, []);
  });
});
