import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { openSpoolDirectory, prepareSpoolDirectory } from "../../src/delivery/spool-directory.ts";
import { type ErrorCode, RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { skip } from "../skip.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const NOBODY = { uid: 65534, gid: 65534 };
const scratch = new SpoolScratch();
after(() => scratch.remove());

const refusal = (code: ErrorCode, sentence: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RuntimeEvidenceError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, sentence);
  return true;
};

function needsRoot(context: Mocha.Context): void {
  if (process.getuid?.() !== 0) skip(context, "needs root to give files away");
}

describe("the directory of a spool", () => {
  it("is made, for us alone, with the directories above it", async () => {
    const directory = join(scratch.directory(), "below", "it");
    const handle = await openSpoolDirectory(directory, true);
    await handle.close();
    assert.equal(statSync(directory).mode & 0o777, 0o700);
  });

  it("is refused where others may write to it", async () => {
    for (const mode of [0o770, 0o702, 0o1777]) {
      const directory = scratch.directory();
      mkdirSync(directory);
      chmodSync(directory, mode);
      await assert.rejects(
        openSpoolDirectory(directory, true),
        refusal("not-permitted", /others may write .*chmod 700/),
      );
    }
  });

  it("is refused where it is another user's", async function () {
    needsRoot(this);
    const directory = scratch.directory();
    mkdirSync(directory, { mode: 0o700 });
    chownSync(directory, NOBODY.uid, NOBODY.gid);
    await assert.rejects(
      openSpoolDirectory(directory, true),
      refusal("not-permitted", /belongs to user 65534, not to/),
    );
  });

  it("is refused where it is a symbolic link, a file, or below a file", async () => {
    const directory = scratch.directory();
    mkdirSync(directory);
    const link = join(dirname(directory), "link");
    symlinkSync(directory, link);
    await assert.rejects(openSpoolDirectory(link, true), refusal("usage", /is a symbolic link/));
    const file = join(directory, "file");
    writeFileSync(file, "");
    await assert.rejects(openSpoolDirectory(file, true), refusal("usage", /is not a directory/));
    await assert.rejects(openSpoolDirectory(join(file, "x"), true), refusal("usage", /is not a directory/));
    assert.deepEqual(readdirSync(directory), ["file"]);
  });

  it("is made by root for the user that the exporter becomes", async function () {
    needsRoot(this);
    const directory = join(scratch.directory(), "below", "it");
    await prepareSpoolDirectory(directory, NOBODY);
    await prepareSpoolDirectory(directory, NOBODY);
    const { uid, gid, mode } = lstatSync(directory);
    assert.deepEqual({ uid, gid, mode: mode & 0o777 }, { ...NOBODY, mode: 0o700 });
    assert.equal(statSync(dirname(directory)).mode & 0o055, 0o055, "that user can get there");
  });

  it("is not given away where something is in it, where it is a link, or where others could have put it there", async function () {
    needsRoot(this);
    const directory = scratch.directory();
    mkdirSync(join(directory, "x"), { recursive: true, mode: 0o700 });
    await assert.rejects(
      prepareSpoolDirectory(directory, NOBODY),
      refusal("not-permitted", /belongs to user 0/),
    );
    const link = join(dirname(directory), "link");
    symlinkSync(join(directory, "x"), link);
    await assert.rejects(prepareSpoolDirectory(link, NOBODY), refusal("usage", /symbolic link/));
    chmodSync(join(directory, "x"), 0o777);
    await assert.rejects(
      prepareSpoolDirectory(join(directory, "x"), NOBODY),
      refusal("not-permitted", /others may write/),
    );
    assert.equal(statSync(join(directory, "x")).uid, 0);
    assert.ok(existsSync(directory));
  });
});
