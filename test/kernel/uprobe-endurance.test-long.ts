import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { type Certificates, makeCertificates } from "../delivery/certificates.ts";
import { needsCommand, needsProbes, needsTrigger, REPOSITORY, startCapture, trigger } from "./live.ts";

const SECONDS = 60;
/** How long each capture of a cycle lasts, which attaches everything and detaches it again. */
const CYCLE_MS = 3_000;

/** Runs a workload to its end: its exit code, or the signal that killed it, and its one line. */
function work(command: string, args: readonly string[]): Promise<{ exit: number | string; line: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let line = "";
  child.stdout.on("data", (chunk: Buffer) => {
    line += chunk.toString();
  });
  return new Promise((resolve) =>
    child.once("close", (code, signal) => resolve({ exit: code ?? signal ?? "", line: line.trim() })),
  );
}

describe("uprobes under programs at work", function () {
  this.timeout((SECONDS + 120) * 1000);
  let certificates: Certificates;
  before(function () {
    needsProbes(this, ["net_connect", "ssl_op", "function_call"]);
    needsCommand(this, "python3", "openssl");
    needsTrigger(this, "seccomp-connect", "tls-go");
    certificates = makeCertificates();
  });
  after(() => certificates?.remove());

  it(`a program under seccomp, a Go TLS server and an OpenSSL server of many threads run ${SECONDS} s unharmed while everything is attached and detached`, async () => {
    const { serverKey, serverCertificate, ca } = certificates;
    const seconds = String(SECONDS);
    const peer = `${REPOSITORY}test/triggers/tls-peer.py`;
    const workloads = {
      seccomp: work(trigger("seccomp-connect"), [seconds]),
      go: work(trigger("tls-go"), [seconds, serverKey, serverCertificate]),
      threads: work("python3", [peer, "load", serverKey, serverCertificate, ca, seconds]),
    };
    const done = Promise.all(Object.values(workloads));
    let ended = false;
    void done.then(() => {
      ended = true;
    });
    const events = ["--events", "net_connect,ssl_op,function_call", "--function", "tls-go:crypto/tls.*"];
    const limits = ["--function", "tls-go:main.*", "--rate-limit", "100", "--stack-depth", "32"];
    const cycles: { seen: bigint; descriptors: number[] }[] = [];
    while (!ended) {
      const background = await startCapture([...events, ...limits]);
      const pump = await background.pump();
      const openFiles = () => readdirSync(`/proc/${pump}/fd`).length;
      const descriptors = [openFiles()];
      await Promise.race([done, new Promise((resolve) => setTimeout(resolve, CYCLE_MS))]);
      descriptors.push(openFiles());
      const { books, code, stderr } = await background.stop();
      assert.equal(code, 0, stderr);
      cycles.push({ seen: books.reduce((sum, { seen }) => sum + BigInt(seen), 0n), descriptors });
    }
    for (const [name, ending] of Object.entries(workloads)) {
      const { exit, line } = await ending;
      assert.equal(exit, 0, `${name}: ${line}`);
      assert.equal((JSON.parse(line) as { errors: number }).errors, 0, `${name}: ${line}`);
    }
    assert.ok(cycles.length >= 5, `${cycles.length} cycles`);
    // The last one may have begun when the workloads were ending.
    for (const { seen, descriptors } of cycles.slice(0, -1)) {
      assert.ok(seen > 1000n, `${seen} events in a cycle`);
      const [before = 0, after = 0] = descriptors;
      assert.ok(after <= before + 64, `descriptors grew from ${before} to ${after}`);
    }
  });
});
