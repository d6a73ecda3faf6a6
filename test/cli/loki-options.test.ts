import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { addLokiOptions, resolveLoki } from "../../src/cli/loki-options.ts";

function resolve(...words: string[]) {
  const command = addLokiOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(words, { from: "user" });
  return resolveLoki(command.opts(), () => {});
}

const WHERE = ["--loki-url", "http://localhost:3100", "--query", '{a="b"}'];
const HOUR_NS = 3_600_000_000_000n;

describe("options about Loki", () => {
  it("ask for the last hour by default, and for what is said", () => {
    const { startNs, endNs, query, url } = resolve(...WHERE) ?? assert.fail();
    assert.equal(endNs - startNs, HOUR_NS);
    assert.deepEqual([url, query], ["http://localhost:3100", '{a="b"}']);
    const since = resolve(...WHERE, "--since", "2h", "--to-time", "10000") ?? assert.fail();
    assert.deepEqual([since.startNs, since.endNs], [10_000_000_000_000n - 2n * HOUR_NS, 10_000_000_000_000n]);
    const from = resolve(...WHERE, "--from-time", "5", "--to-time", "6", "--tenant", "t") ?? assert.fail();
    assert.deepEqual([from.startNs, from.endNs, from.tenant], [5_000_000_000n, 6_000_000_000n, "t"]);
  });

  it("that don't fit together are refused", () => {
    assert.equal(resolve(), undefined);
    assert.throws(() => resolve("--query", "{}", "--since", "1h"), /--query, --since need --loki-url/);
    assert.throws(() => resolve("--loki-url", "http://x"), /needs --query/);
    assert.throws(() => resolve(...WHERE, "--since", "1h", "--from-time", "5"), /two starts/);
    assert.throws(() => resolve(...WHERE, "--from-time", "6", "--to-time", "6"), /not before/);
  });

  it("take headers from a file, so that secrets stay off the command line, and show none", () => {
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-loki-"));
    try {
      const file = join(directory, "headers");
      writeFileSync(file, "# for Loki\nAuthorization: Bearer a=b:c\r\n\nX-One: 1\n");
      const { headers } = resolve(...WHERE, "--header-file", file, "--header", "X-One=2") ?? assert.fail();
      assert.deepEqual(
        [...(headers ?? [])],
        [
          ["authorization", "Bearer a=b:c"],
          ["x-one", "2"],
        ],
      );
      writeFileSync(file, "my secret\n");
      assert.throws(
        () => resolve(...WHERE, "--header-file", file),
        ({ message }) => /is no header/.test(message) && !/secret/.test(message),
      );
      assert.throws(() => resolve(...WHERE, "--header-file", join(directory, "none")), { code: "not-found" });
      assert.throws(() => resolve(...WHERE, "--header", "a=b\nc"), /is no header/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
