/** Lines come out as they went in, compressed by the file's name, and written when `ready` says so. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, gunzipSync, zstdDecompressSync } from "node:zlib";
import { openLineWriter } from "../../src/pipeline/line-writer.ts";

const READERS = {
  "out.ndjson": (bytes: Buffer) => bytes,
  "out.ndjson.gz": (bytes: Buffer) => gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }),
  "out.ndjson.zst": (bytes: Buffer) => zstdDecompressSync(bytes, { finishFlush: constants.ZSTD_e_flush }),
};

describe("line writer", () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-lines-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  for (const [name, read] of Object.entries(READERS)) {
    it(`${name}: what was taken before "ready" is readable after it`, async () => {
      const path = join(directory, name);
      const writer = await openLineWriter(path);
      let expected = "";
      for (let index = 0; index < 200; index++) {
        const line = `${"x".repeat(5000)}é${index}`;
        writer.line(line);
        expected += `${line}\n`;
        if (index % 7 === 0) {
          writer.bytes(Buffer.from("raw\n"));
          expected += "raw\n";
        }
        if (index % 50 !== 0) continue;
        await writer.ready();
        assert.ok(read(readFileSync(path)).toString() === expected);
      }
      await writer.close();
      assert.ok(read(readFileSync(path)).toString() === expected);
      assert.equal(statSync(path).mode & 0o077, 0, "nobody else may read it");
    });
  }

  it("a full disk is an error of ready or close, also behind a compressor", async () => {
    for (const name of ["full", "full.gz", "full.zst"]) {
      const path = join(directory, name);
      symlinkSync("/dev/full", path);
      const write = async (ready: boolean) => {
        const writer = await openLineWriter(path);
        writer.line("x");
        if (ready) await writer.ready();
        await writer.close();
      };
      for (const ready of [true, false])
        await assert.rejects(write(ready), { code: "io", message: /ENOSPC/ });
    }
  });
});
