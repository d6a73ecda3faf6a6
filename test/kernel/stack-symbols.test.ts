import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Extensions } from "../../src/evidence/extensions.ts";
import type { EvidenceRecord, FunctionCall } from "../../src/evidence/record.ts";
import { skip } from "../skip.ts";
import { capture, needsCommand, needsProbes, runCli, trigger } from "./live.ts";

type CallRecord = EvidenceRecord & { event: FunctionCall; extensions?: Extensions };

/** Long enough to attach to a file that was never seen before. */
const DELAY_MS = "700";

/** Calls into libjava, for long enough to be compiled and asked for a perf map. */
const HOT_JAVA = `
public class Hot {
  static long hotMethod(int count) {
    long sum = 0;
    for (int i = 0; i < count; i++) sum += new java.io.File("/tmp").lastModified();
    return sum;
  }
  public static void main(String[] args) throws Exception {
    long end = System.currentTimeMillis() + 7000, sum = 0;
    while (System.currentTimeMillis() < end) { sum += hotMethod(20); Thread.sleep(2); }
    System.out.println("{\\"pid\\":" + ProcessHandle.current().pid() + ",\\"sum\\":" + sum + "}");
  }
}`;

describe("symbolised stacks", function () {
  this.timeout(120_000);
  before(function () {
    needsProbes(this, ["function_call"]);
  });

  async function run(options: readonly string[], command: readonly string[]) {
    const run = await capture(["--events", "function_call", "--stack-depth", "16", ...options], command);
    const { pid } = JSON.parse(run.stdout.split("\n")[0] ?? "") as { pid: number };
    const records = (run.records as CallRecord[]).filter((record) => record.pid === pid);
    return { ...run, pid, records };
  }

  const chain = trigger("call-chain");
  const options = ["--function", `${chain}:chain_inner`];

  for (const [name, path] of [
    ["a dynamic", chain],
    ["a static", `${chain}.static`],
  ] as const) {
    it(`${name} C program: function, offset and file of each return address of a known call chain`, async () => {
      const { records, stderr } = await run(
        ["--function", `${path}:chain_inner`, "--symbolize", "--extensions"],
        [path, DELAY_MS, "3", "500"],
      );
      assert.equal(records.length, 3, stderr);
      for (const { event, extensions } of records) {
        const symbols = extensions?.stackSymbols ?? [];
        assert.equal(symbols.length, event.stack?.length);
        const file = path.endsWith(".static") ? "call-chain\\.static" : "call-chain";
        ["chain_middle", "chain_outer", "main"].forEach((symbol, index) => {
          assert.match(symbols[index] ?? "", new RegExp(`^${symbol}\\+0x[0-9a-f]+ \\(${file}\\)$`));
        });
      }
    });
  }

  it("stay out of v1, and are not made unless asked for", async () => {
    const command = [chain, DELAY_MS, "1", "500"];
    const [symbolised] = (await run([...options, "--symbolize"], command)).records;
    assert.equal(symbolised?.extensions, undefined);
    assert.match(symbolised?.event.stack?.[0] ?? "", /^0x[0-9a-f]+$/);
    const [plain] = (await run([...options, "--extensions"], command)).records;
    assert.equal(plain?.extensions?.stackSymbols, undefined);
    assert.ok((plain?.event.stack?.length ?? 0) > 0);
  });

  it("need stacks: refused without", async () => {
    const { code, stderr } = await runCli(["capture", ...options, "--symbolize"]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--stack-depth/);
  });

  it("node with --perf-basic-prof: JavaScript functions by the name in the perf map", async function () {
    const code = `
function hotCaller() { return require("node:os").uptime(); }
setTimeout(() => {
  const timer = setInterval(hotCaller, 20);
  setTimeout(() => {
    clearInterval(timer);
    console.log(JSON.stringify({ pid: process.pid }));
  }, 2000);
}, ${DELAY_MS})`;
    const node = realpathSync(process.execPath);
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-jit-"));
    let perfMap = "";
    try {
      // It writes a log of its own as well; --always-sparkplug compiles at the first call.
      const log = ["--no-logfile-per-isolate", `--logfile=${join(directory, "v8.log")}`];
      const flags = ["--perf-basic-prof", "--always-sparkplug", ...log];
      const { records, pid, stderr } = await run(
        ["--function", `${node}:uv_uptime`, "--symbolize", "--extensions"],
        [node, ...flags, "-e", code],
      );
      perfMap = `/tmp/perf-${pid}.map`;
      if (!existsSync(perfMap)) skip(this, "this node writes no perf map");
      const named = records.flatMap(({ extensions }) => extensions?.stackSymbols ?? []);
      assert.ok(records.length > 20, stderr);
      assert.ok(
        named.some((symbol) => /^JS:.?hotCaller /.test(symbol)),
        [...new Set(named)].join("\n"),
      );
      assert.ok(
        named.some((symbol) => symbol.endsWith("(node)")),
        "functions of the executable have names, too",
      );
    } finally {
      rmSync(directory, { recursive: true });
      if (perfMap !== "") rmSync(perfMap, { force: true });
    }
  });

  it("a JVM that was asked for a perf map: Java methods by their names", async function () {
    needsCommand(this, "java", "javac", "jcmd");
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-jvm-"));
    let perfMap = "";
    try {
      writeFileSync(join(directory, "Hot.java"), HOT_JAVA);
      execFileSync("javac", ["-d", directory, join(directory, "Hot.java")]);
      const script = `java -XX:+PreserveFramePointer -cp ${directory} Hot & jvm=$!
        sleep 3; jcmd $jvm Compiler.perfmap >&2; wait $jvm`;
      const { records, pid, stderr } = await run(
        [
          ...["--function", "libjava.so:Java_java_io_UnixFileSystem_getLastModifiedTime*"],
          ...["--symbolize", "--extensions", "--rate-limit", "50"],
        ],
        ["sh", "-c", script],
      );
      perfMap = `/tmp/perf-${pid}.map`;
      if (!existsSync(perfMap)) skip(this, "this JVM has no Compiler.perfmap (Java 17)");
      const named = records.flatMap(({ extensions }) => extensions?.stackSymbols ?? []);
      assert.ok(
        named.some((symbol) => /\bHot\.hotMethod\(int\)/.test(symbol)),
        `${[...new Set(named)].join("\n")}\n${stderr}`,
      );
    } finally {
      rmSync(directory, { recursive: true });
      if (perfMap !== "") rmSync(perfMap, { force: true });
    }
  });
});
