import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertBooksBalance, booksOf, needsKernel, runCli, trigger } from "./live.ts";

/** /etc/passwd has it everywhere. */
const NOBODY = 65534;

describe("a capture that has to end", function () {
  this.timeout(60_000);
  before(function () {
    needsKernel(this);
  });

  it("does so while events go on, and its books balance", async () => {
    const flood = spawn(trigger("open-loop"), ["/nonexistent/endless", "2000000000"], { stdio: "ignore" });
    try {
      const startedMs = performance.now();
      const output = ["--output", "/dev/null", "--summary", "json"];
      const own = ["--events", "file_open", "--pid", `${flood.pid}`];
      const run = await runCli(["capture", ...output, ...own, "--duration", "1s"]);
      assert.equal(run.code, 0, run.stderr);
      assert.ok(performance.now() - startedMs < 25_000, "it waited for a pause");
      const books = booksOf(run);
      assertBooksBalance(books);
      assert.ok(Number(books[0]?.exported) > 1000, JSON.stringify(books));
    } finally {
      flood.kill("SIGKILL");
    }
  });

  describe("because its spool is another exporter's", () => {
    let directory: string;
    let holder: Server;

    before(async () => {
      directory = mkdtempSync(join(tmpdir(), "runtime-evidence-held-"));
      holder = createServer();
      const name = join(directory, `lock-${process.pid}-0123456789abcdef`);
      await new Promise<void>((resolve) => holder.listen(name, resolve));
      chmodSync(name, 0o777);
      chownSync(directory, NOBODY, NOBODY);
    });

    after(async () => {
      await new Promise((resolve) => holder.close(resolve));
      rmSync(directory, { recursive: true });
    });

    it("ends everything that it had started, with one line, and has not run the command", async () => {
      const output = ["--otlp-endpoint", "http://127.0.0.1:9", "--spool-dir", directory];
      const ran = join(directory, "ran");
      const { code, stderr } = await runCli(["capture", ...output, "--", "touch", ran]);
      assert.equal(code, 3);
      assert.match(stderr, /^error: the spool \S+ is in use by another exporter \(process \d+\).*\n$/);
      assert.equal(readdirSync(directory).includes("ran"), false);
    });
  });
});
