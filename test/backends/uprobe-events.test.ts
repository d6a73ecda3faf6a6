import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Certificates, makeCertificates } from "../delivery/certificates.ts";
import {
  assertBooksBalance,
  booksOf,
  needsCommand,
  needsProbes,
  REPOSITORY,
  readRecords,
  runCli,
  trigger,
} from "../kernel/live.ts";
import { SETTLE_MS } from "../kernel/tls-peers.ts";
import { freePorts } from "../process.ts";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";

const EVENTS = ["file_open", "process_exec", "tcp_state", "net_connect", "ssl_op", "function_call"];

describe("all six events through a real Collector", function () {
  this.timeout(90_000);
  let collector: StartedCollector;
  let certificates: Certificates;
  let directory = "";
  before(async function () {
    const missing = collectorMissing();
    if (missing !== undefined) skip(this, missing);
    needsProbes(this, EVENTS);
    needsCommand(this, "python3", "openssl");
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-six-"));
    certificates = makeCertificates();
    collector = await startCollector({ config: "file" });
  });
  after(async () => {
    certificates?.remove();
    await collector?.remove();
    if (directory !== "") rmSync(directory, { recursive: true });
  });

  it("convert back to what --output wrote, one for one, and the books balance", async () => {
    const [port = 0] = await freePorts(1);
    const output = join(directory, "evidence.ndjson");
    const peer = `python3 ${REPOSITORY}test/triggers/tls-peer.py`;
    const server = join(directory, "server");
    // The server ends when its input does, which is when all is done.
    const work = `
      {
        until grep -q listening ${server}; do sleep 0.05; done
        SETTLE_MS=${SETTLE_MS} ${peer} client ${port} ${certificates.ca} w50000 r7
        ${trigger("net-connect")} 300 connect-4 connect-6 refused-4 nonblocking accept4-null
        ${trigger("call-chain")} 700 100
      } | ${peer} server ${port} ${certificates.serverKey} ${certificates.serverCertificate} r50000 w7 >${server}`;
    const run = await runCli([
      ...["capture", "--summary", "json", "--output", output],
      ...["--otlp-endpoint", collector.grpcEndpoint, "--otlp-protocol", "grpc"],
      ...["--events", EVENTS.join(","), "--function", "call-chain:chain_*", "--stack-depth", "8"],
      ...["--", "sh", "-c", work],
    ]);
    assert.equal(run.code, 0, run.stderr);
    const books = booksOf(run);
    assertBooksBalance(books);
    await collector.stop();
    const written = readFileSync(output, "utf8");
    const records = readRecords(written);
    assert.deepEqual(new Set(records.map(({ event }) => event.type)), new Set(EVENTS));
    for (const { probe, exported } of books) {
      assert.equal(Number(exported), records.filter(({ event }) => event.type === probe).length, probe);
    }
    for (const stored of [collector.jsonPath, collector.protoPath]) {
      const converted = await runCli(["convert", stored]);
      assert.equal(converted.code, 0, converted.stderr);
      assert.deepEqual(
        converted.stdout.trimEnd().split("\n").sort(),
        written.trimEnd().split("\n").sort(),
        stored,
      );
    }
  });
});
