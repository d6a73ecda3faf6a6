import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expandInputs } from "../../src/convert/input-files.ts";

describe("inputs", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "input-files-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function write(...names: string[]): void {
    for (const name of names) writeFileSync(join(directory, name), name);
  }

  async function expand(...paths: string[]): Promise<string[]> {
    const inputs = await expandInputs(paths);
    return inputs.map(({ path }) => path.replace(`${directory}/`, ""));
  }

  it("that are files, missing or standard input stay as they are given", async () => {
    write("b.json", "a.json");
    const [b, a, none] = ["b.json", "a.json", "none"].map((name) => join(directory, name));
    assert.deepEqual(await expandInputs([b as string, "-", none as string, a as string]), [
      { path: b, sizeBytes: 6 },
      { path: "-", sizeBytes: undefined },
      { path: none, sizeBytes: undefined },
      { path: a, sizeBytes: 6 },
    ]);
  });

  it("that are a directory stand for its files, rotated ones oldest first, the live one last", async () => {
    const inOrder = [
      "a.json",
      "logs-2025-12-31T23-59-59.999.json.gz",
      "logs-2026-01-02T03-04-05.678-size.json",
      "logs-2026-01-02T03-04-05.679-time.json.zst",
      "logs-2026-01-02T03-04-06.000.json",
      "logs.json",
      "logs.json-2026-01-02T03-04-05.678-size.zst",
      "logs.json.zst",
      "plain-2026-01-02T03-04-05.678",
      "plain",
      "zz-2026.json",
    ];
    write(...inOrder.toReversed());
    assert.deepEqual(await expand(directory), inOrder);
  });

  it("of directories in it are read too; hidden files, links to directories and sockets are told", async () => {
    mkdirSync(join(directory, "group"));
    mkdirSync(join(directory, ".hidden"));
    write("group/one.json", "last.json", ".lock");
    symlinkSync(directory, join(directory, "loop"));
    symlinkSync(join(directory, "last.json"), join(directory, "link.json"));
    symlinkSync(join(directory, "gone"), join(directory, "dangling"));
    const skipped: string[] = [];
    const inputs = await expandInputs([directory], {
      onSkipped: (path, reason) => skipped.push(`${path.replace(`${directory}/`, "")}: ${reason}`),
    });
    assert.deepEqual(
      inputs.map(({ path }) => path.replace(`${directory}/`, "")),
      ["group/one.json", "last.json", "link.json"],
    );
    assert.deepEqual(skipped, [
      ".hidden: it is hidden",
      ".lock: it is hidden",
      "dangling: it is not a file",
      "loop: it is not a file",
    ]);
  });

  it("have a limit", async () => {
    write("a", "b", "c");
    await assert.rejects(expandInputs([directory], { filesMax: 2 }), { code: "limit" });
    assert.equal((await expandInputs([directory], { filesMax: 3 })).length, 3);
  });
});
