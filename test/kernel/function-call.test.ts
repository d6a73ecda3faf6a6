import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { EvidenceRecord, FunctionCall } from "../../src/evidence/record.ts";
import { makeCertificates } from "../delivery/certificates.ts";
import { freePorts } from "../process.ts";
import {
  type CaptureRun,
  capture,
  needsCommand,
  needsProbes,
  needsTrigger,
  startCapture,
  trigger,
} from "./live.ts";
import { startPython, startPythonServer } from "./tls-peers.ts";

type CallRecord = EvidenceRecord & { event: FunctionCall };

/** Long enough to attach to a file that was never seen before. */
const DELAY_MS = "700";

function calls({ records }: CaptureRun, pid: number): FunctionCall[] {
  return (records as CallRecord[])
    .filter((record) => record.pid === pid && record.event.type === "function_call")
    .map(({ event }) => event);
}

function buildId(path: string): string {
  const notes = execFileSync("readelf", ["-n", path]).toString();
  return /Build ID: ([0-9a-f]+)/.exec(notes)?.[1] ?? "";
}

/** docs/uprobes.md, version 1. */
function nodeHash(identity: string, place: string): string {
  const text = `runtime-evidence/node-hash/v1\n${identity}\n${place}`;
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

describe("function_call", function () {
  this.timeout(120_000);
  before(function () {
    needsProbes(this, ["function_call"]);
  });

  async function run(options: readonly string[], command: readonly string[]) {
    const run = await capture(["--events", "function_call", ...options], command);
    const report = JSON.parse(run.stdout.split("\n")[0] ?? "") as {
      pid: number;
      address?: string;
      stack?: string[];
    };
    const balance = run.books.find(({ probe }) => probe === "function_call");
    assert.ok(balance !== undefined);
    return { ...run, report, balance, calls: calls(run, report.pid) };
  }

  it("C: address, symbol, library, runtime, node hash and the exact stack of a known call chain", async () => {
    const path = trigger("call-chain");
    const { calls, report, stderr } = await run(
      ["--function", `${path}:chain_inner`, "--stack-depth", "16"],
      [path, DELAY_MS, "3"],
    );
    assert.equal(calls.length, 3, stderr);
    for (const { stack, library, ...call } of calls) {
      assert.deepEqual(call, {
        type: "function_call",
        addr: report.address,
        symbol: "chain_inner",
        runtime: "native",
        node_hash: nodeHash(`build-id:${buildId(path)}`, "symbol:chain_inner"),
      });
      assert.equal(basename(library ?? ""), "call-chain");
      assert.deepEqual(stack?.slice(0, 3), report.stack);
    }
  });

  it("no stack is taken unless it is asked for", async () => {
    const path = trigger("call-chain");
    const { calls } = await run(["--function", `${path}:chain_inner`], [path, DELAY_MS, "1"]);
    assert.equal(calls.length, 1);
    assert.equal("stack" in (calls[0] as FunctionCall), false);
  });

  for (const { program, spec, symbol, runtime } of [
    { program: "call-cxx", spec: "geometry::Shape::area*", symbol: /area/, runtime: "native" },
    { program: "call-rust", spec: "*ledger::deposit*", symbol: /deposit/, runtime: "native" },
    { program: "call-go", spec: "main.compute", symbol: /^main\.compute$/, runtime: "go" },
  ]) {
    it(`${program}: each call once, with symbol and runtime`, async function () {
      needsTrigger(this, program);
      const path = trigger(program);
      const { calls, stderr } = await run(["--function", `${program}:${spec}`], [path, DELAY_MS, "100"]);
      assert.equal(calls.length, 100, stderr);
      for (const call of calls) {
        assert.match(call.symbol ?? "", symbol);
        assert.equal(call.runtime, runtime);
        assert.equal(basename(call.library ?? ""), program);
      }
    });
  }

  it("python: a function of the interpreter, called as often as the program says", async function () {
    needsCommand(this, "python3");
    const code = `
import ctypes, json, os, time
time.sleep(${Number(DELAY_MS) / 1000})
for _ in range(5): ctypes.pythonapi.Py_GetCopyright()
print(json.dumps({"pid": os.getpid()}))`;
    const { calls, stderr } = await run(["--function", "*python*:Py_GetCopyright"], ["python3", "-c", code]);
    assert.ok(calls.length >= 5, `${calls.length} calls: ${stderr}`);
    for (const { symbol, runtime } of calls) {
      assert.deepEqual({ symbol, runtime }, { symbol: "Py_GetCopyright", runtime: "python" });
    }
  });

  it("node: a function of the executable", async () => {
    const code = `setTimeout(() => {
      for (let i = 0; i < 5; i++) require("node:os").uptime();
      console.log(JSON.stringify({ pid: process.pid }));
    }, ${DELAY_MS})`;
    const node = realpathSync(process.execPath);
    const { calls, stderr } = await run(["--function", `${node}:uv_uptime`], [node, "-e", code]);
    assert.equal(calls.length, 5, stderr);
    for (const { symbol, runtime } of calls) {
      assert.deepEqual({ symbol, runtime }, { symbol: "uv_uptime", runtime: "node" });
    }
  });

  describe("node_hash", () => {
    let directory = "";
    before(() => {
      directory = mkdtempSync(join(tmpdir(), "runtime-evidence-node-hash-"));
    });
    after(() => rmSync(directory, { recursive: true }));

    it("is the same in two processes with ASLR and in a copy of the file, and another for another function", async () => {
      const path = trigger("call-chain");
      const copy = join(directory, "call-chain");
      copyFileSync(path, copy);
      const script = `${path} ${DELAY_MS} 1; ${path} 0 1; ${copy} ${DELAY_MS} 1`;
      const run = await capture(
        ["--events", "function_call", "--function", "call-chain:chain_*"],
        ["sh", "-c", script],
      );
      const events = (run.records as CallRecord[]).map(({ event }) => event);
      assert.equal(events.length, 9, run.stderr);
      const hashes = Map.groupBy(events, ({ symbol }) => symbol);
      assert.deepEqual([...hashes.keys()].toSorted(), ["chain_inner", "chain_middle", "chain_outer"]);
      for (const own of hashes.values()) {
        assert.equal(own.length, 3);
        assert.equal(new Set(own.map(({ node_hash }) => node_hash)).size, 1);
      }
      assert.equal(new Set(events.map(({ node_hash }) => node_hash)).size, 3);
      const addresses = hashes.get("chain_inner")?.map(({ addr }) => addr);
      assert.ok(new Set(addresses).size > 1, "ASLR moved it");
    });

    it("of an offset is made of the offset", async () => {
      const path = trigger("call-chain.static");
      const [, address = "0"] =
        /^([0-9a-f]+) \w chain_inner$/m.exec(execFileSync("nm", [path]).toString()) ?? [];
      const segments = execFileSync("readelf", ["-lW", path]).toString();
      const loads = [...segments.matchAll(/LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)/g)].map((match) =>
        match.slice(1).map((hex) => Number.parseInt(hex, 16)),
      );
      const value = Number.parseInt(address, 16);
      const [fileOffset = 0, virtual = 0] =
        loads.find(([, begin = 0, size = 0]) => value >= begin && value < begin + size) ?? [];
      const offset = (value - virtual + fileOffset).toString(16);
      const { calls, stderr } = await run(["--function", `${path}:+0x${offset}`], [path, DELAY_MS, "1"]);
      assert.equal(calls.length, 1, stderr);
      assert.equal(calls[0]?.addr, `0x${address.replace(/^0+/, "")}`);
      assert.match(calls[0]?.node_hash ?? "", /^sha256:/);
    });
  });

  describe("sampling", () => {
    it("--once process reports the first call in each process and counts the others as filtered", async () => {
      const path = trigger("call-chain");
      const script = `${path} ${DELAY_MS} 1000; ${path} 0 1000`;
      const options = ["--events", "function_call", "--function", `${path}:chain_*`, "--once", "process"];
      const { records, books, stderr } = await capture(options, ["sh", "-c", script]);
      const perProcess = Map.groupBy(records as CallRecord[], ({ pid }) => pid);
      assert.equal(perProcess.size, 2, stderr);
      for (const own of perProcess.values()) {
        const symbols = own.map(({ event }) => event.symbol);
        assert.deepEqual(symbols.toSorted(), ["chain_inner", "chain_middle", "chain_outer"]);
      }
      const balance = books.find(({ probe }) => probe === "function_call");
      assert.deepEqual([balance?.seen, balance?.filtered], ["6000", "5994"]);
    });

    it("--rate-limit counts what is beyond it as filtered", async () => {
      const path = trigger("call-chain");
      const { calls, records, balance } = await run(
        ["--function", `${path}:chain_inner`, "--rate-limit", "10"],
        [path, DELAY_MS, "100000"],
      );
      assert.equal(balance.seen, "100000");
      // However long they take: so many in each second of the clock.
      const seconds = Map.groupBy(records, ({ ts_ns }) => BigInt(ts_ns) / 1_000_000_000n);
      const perSecond = [...seconds.values()].map((own) => own.length);
      assert.ok(
        perSecond.every((count) => count <= 10),
        `${perSecond}`,
      );
      assert.equal(Math.max(...perSecond), 10);
      assert.equal(BigInt(balance.filtered), 100_000n - BigInt(calls.length));
    });

    it("--once over all functions of libcrypto reports each called function once per process", async function () {
      needsCommand(this, "python3", "openssl");
      const certificates = makeCertificates();
      const [port = 0] = await freePorts(1);
      const { serverKey, serverCertificate, ca } = certificates;
      // It holds the library, so that all is attached when the capture begins.
      const server = await startPythonServer([port, serverKey, serverCertificate, "w1000000"]);
      const all = ["--function", "libcrypto.so*:*", "--once", "process", "--attach-points-max", "10000"];
      const background = await startCapture(["--events", "function_call", ...all]);
      const client = await startPython(["client", port, ca, "r1000000"]);
      await Promise.all([client.next(), server.next()]);
      await Promise.all([client.end(), server.end()]);
      certificates.remove();
      const { records, books, stderr } = await background.stop();
      for (const pid of [client.pid, server.pid]) {
        const called = (records as CallRecord[]).filter((record) => record.pid === pid);
        assert.ok(called.length > 100, `${called.length} functions: ${stderr}`);
        assert.equal(new Set(called.map(({ event }) => event.addr)).size, called.length);
        assert.equal(new Set(called.map(({ event }) => event.node_hash)).size, called.length);
      }
      assert.deepEqual(books.find(({ probe }) => probe === "function_call")?.lost, {});
    });
  });

  it("more attach points than the limit are refused with a line, in bounded time", async () => {
    const startedMs = performance.now();
    const { stderr, code } = await capture(
      ["--events", "function_call", "--function", "libc.so*:*", "--attach-points-max", "10"],
      ["sh", "-c", "sleep 1"],
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /attach/);
    assert.ok(performance.now() - startedMs < 30_000);
  });
});
