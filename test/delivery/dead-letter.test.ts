import assert from "node:assert/strict";
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import { openDeadLetterFile } from "../../src/delivery/dead-letter-file.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { sealedRecords, sequencesIn } from "./sealed.ts";

describe("the dead-letter file", () => {
  let directory: string;
  let path: string;
  let reasonsPath: string;
  const lines: string[] = [];
  const onTrouble = (line: string) => void lines.push(line);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-dead-"));
    path = join(directory, "dead.bin");
    reasonsPath = `${path}.reasons.ndjson`;
    lines.length = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** What `convert` finds in the file. */
  async function stored(): Promise<number[]> {
    const sequences: number[] = [];
    for await (const items of readStoredRequests(path)) {
      for (const item of items) {
        assert.equal(item.kind, "request");
        if (item.kind === "request") sequences.push(...sequencesIn(item.body));
      }
    }
    return sequences;
  }

  const reasons = () =>
    readFileSync(reasonsPath, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it("is read by convert, with a reason for each request, and belongs to its owner alone", async () => {
    const letter = await openDeadLetterFile({ path, onTrouble });
    const kept = [sealedRecords(1, { first: 7 }), sealedRecords(3, { first: 20 })];
    assert.ok(await letter.append(kept[0] as (typeof kept)[0], "too_large: http 413"));
    assert.ok(await letter.append(kept[1] as (typeof kept)[0], 'refused: http 400: no "such" thing'));
    await letter.close();
    assert.deepEqual(await stored(), [7, 20, 21, 22]);
    const [first, second] = reasons();
    assert.equal(first?.offset, 0);
    assert.equal(second?.offset, 4 + (kept[0]?.body.length ?? 0));
    assert.deepEqual([second?.records, second?.bytes], [3, kept[1]?.body.length]);
    assert.equal(second?.reason, 'refused: http 400: no "such" thing');
    for (const file of [path, reasonsPath]) assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(lines, []);
  });

  it("keeps requests apart that are appended at once", async () => {
    const letter = await openDeadLetterFile({ path, onTrouble });
    const firsts = Array.from({ length: 20 }, (_, index) => index * 10);
    await Promise.all(firsts.map((first) => letter.append(sealedRecords(1, { first }), `refused: ${first}`)));
    await letter.close();
    assert.deepEqual(await stored(), firsts);
    assert.deepEqual(
      reasons().map(({ reason }) => reason),
      firsts.map((first) => `refused: ${first}`),
    );
  });

  it("goes on after a run that ended anywhere in the middle of an append", async () => {
    const first = await openDeadLetterFile({ path, onTrouble });
    await first.append(sealedRecords(1, { first: 1 }), "refused: a");
    const whole = statSync(path).size;
    await first.append(sealedRecords(1, { first: 2 }), "refused: b");
    await first.close();
    const bytes = readFileSync(path);
    const explained = readFileSync(reasonsPath);
    for (let end = whole; end < bytes.length; end += 13) {
      writeFileSync(path, bytes.subarray(0, end));
      writeFileSync(reasonsPath, explained.subarray(0, explained.length - 5));
      const again = await openDeadLetterFile({ path, onTrouble });
      await again.append(sealedRecords(1, { first: 3 }), "refused: c");
      await again.close();
      assert.deepEqual(await stored(), [1, 3], `cut at ${end}`);
      assert.deepEqual(
        reasons().map(({ reason }) => reason),
        ["refused: a", "refused: c"],
      );
    }
  });

  it("keeps nothing beyond its limit, and says so", async () => {
    const request = sealedRecords(1);
    const bytesMax = 2 * (request.body.length + 200);
    const letter = await openDeadLetterFile({ path, bytesMax, onTrouble });
    const kept = [];
    for (let count = 0; count < 4; count++) kept.push(await letter.append(request, "refused: no"));
    await letter.close();
    assert.deepEqual(kept, [true, true, false, false]);
    assert.ok(statSync(path).size + statSync(reasonsPath).size <= bytesMax);
    assert.match(lines[0] ?? "", /dead\.bin has reached its limit of \d+ bytes$/);
  });

  it("says that the disk failed, keeps what it had, and goes on when there is room", async () => {
    const letter = await openDeadLetterFile({ path, onTrouble });
    await letter.append(sealedRecords(1, { first: 1 }), "refused: a");
    await letter.close();
    // A closed file is the one disk that fails for certain.
    assert.equal(await letter.append(sealedRecords(1, { first: 2 }), "refused: b"), false);
    assert.match(lines[0] ?? "", /^cannot write the dead-letter file .*dead\.bin: \w+$/);
    assert.deepEqual(await stored(), [1]);
  });

  it("touches no file that is something else, and follows no symbolic link", async () => {
    const refuses = async (code: string, message: RegExp) =>
      assert.rejects(openDeadLetterFile({ path, onTrouble }), (thrown) => {
        assert.ok(thrown instanceof RuntimeEvidenceError && thrown.code === code, String(thrown));
        assert.match(thrown.message, message);
        return true;
      });
    for (const text of ["root:x:0:0\n", "\u0000\u0000\u0000\u0005hello", '{"resourceLogs":[]}\n']) {
      writeFileSync(path, text);
      await refuses("bad-input", /is not a dead-letter file; it is left as it is$/);
      assert.equal(readFileSync(path, "utf8"), text);
    }
    truncateSync(path);
    writeFileSync(reasonsPath, "mine");
    await refuses("bad-input", /reasons\.ndjson is not a dead-letter file/);
    assert.equal(readFileSync(reasonsPath, "utf8"), "mine");
    rmSync(path);
    symlinkSync("/dev/null", path);
    await refuses("io", /^cannot open the dead-letter file .*: ELOOP$/);
    path = join(directory, "none", "dead.bin");
    await refuses("not-found", /ENOENT$/);
    path = directory;
    await refuses("io", /EISDIR$/);
  });
});
