import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type Certificates, makeCertificates } from "../delivery/certificates.ts";
import { freePorts } from "../process.ts";
import { type BackgroundCapture, needsCommand, needsProbes, startCapture } from "./live.ts";
import {
  bytesOf,
  type Peer,
  SETTLE_MS,
  type SslRecord,
  startPeer,
  startPython,
  startPythonServer,
} from "./tls-peers.ts";

const SIZES = [1, 16 * 1024, 10 * 1024 * 1024] as const;

/** Node as a server or a client; its OpenSSL is part of its executable. */
const NODE_PEER = `
const { connect, createServer } = require("node:tls");
const { readFileSync } = require("node:fs");
const [role, port, key, certificate, writes, reads] = process.argv.slice(1);
let read = 0, written = 0;
const say = (more) => console.log(JSON.stringify({ pid: process.pid, read, written, ...more }));
function run(session, done) {
  session.on("data", (chunk) => { read += chunk.length; if (read >= Number(reads)) done(); });
  session.write(Buffer.alloc(Number(writes), "x"), () => { written = Number(writes); });
}
setTimeout(() => {
  if (role === "client") {
    const session = connect({ port: Number(port), host: "127.0.0.1", rejectUnauthorized: false }, () =>
      run(session, () => session.end(() => { say(); process.exit(0); })));
    return;
  }
  const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (session) => {
    session.on("error", () => {});
    run(session, () => setTimeout(say, 100));
  });
  server.listen(Number(port), "127.0.0.1", () => say({ listening: true }));
  process.stdin.resume().on("end", () => process.exit(0));
}, ${SETTLE_MS});
`;

describe("ssl_op", function () {
  this.timeout(120_000);
  let certificates: Certificates;
  let port = 0;
  let background: BackgroundCapture;
  const peers: Peer[] = [];

  before(function () {
    needsProbes(this, ["ssl_op"]);
    needsCommand(this, "python3", "openssl");
    certificates = makeCertificates();
  });
  after(() => certificates?.remove());
  beforeEach(async () => {
    [port = 0] = await freePorts(1);
    background = await startCapture(["--events", "ssl_op"]);
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.end();
  });

  const kept = async (peer: Promise<Peer>): Promise<Peer> => {
    peers.push(await peer);
    return peer;
  };
  const server = (...steps: string[]) =>
    kept(
      startPythonServer([port, certificates.serverKey, certificates.serverCertificate, ...steps], {
        SETTLE_MS,
      }),
    );
  const client = (...args: (string | number)[]) => kept(startPython(args));

  async function records(): Promise<SslRecord[]> {
    const { records, code, stderr } = await background.stop();
    assert.equal(code, 0, stderr);
    return records as SslRecord[];
  }

  for (const size of SIZES) {
    it(`python: bytes are what client and server wrote and read, ${size} of them`, async () => {
      const serving = await server(`r${size}`, `w${size}`);
      const connected = await client("client", port, certificates.ca, `w${size}`, `r${size}`);
      const [clientCounts, serverCounts] = await Promise.all([connected.next(), serving.next()]);
      const found = await records();
      assert.deepEqual(bytesOf(found, connected.pid), { read: size, written: size });
      assert.deepEqual(bytesOf(found, serving.pid), { read: size, written: size });
      assert.deepEqual([clientCounts.read, serverCounts.written], [size, size]);
    });

    it(`openssl: bytes are what s_client wrote and s_server read, ${size} of them`, async () => {
      const listening = await opensslServer();
      const sender = spawn(
        "openssl",
        ["s_client", "-connect", `127.0.0.1:${port}`, "-quiet", "-no_ign_eof", "-CAfile", certificates.ca],
        { stdio: ["pipe", "ignore", "ignore"] },
      );
      sender.stdin.end(Buffer.alloc(size, "x"));
      await new Promise((resolve) => sender.once("close", resolve));
      assert.equal(await listening.received, size);
      const found = await records();
      assert.deepEqual(bytesOf(found, sender.pid as number), { read: 0, written: size });
      assert.deepEqual(bytesOf(found, listening.pid), { read: size, written: 0 });
    });

    it(`node: bytes are what client and server wrote and read, ${size} of them`, async () => {
      const args = (role: string) => [
        ...["-e", NODE_PEER, role, String(port), certificates.serverKey, certificates.serverCertificate],
        ...[String(size), String(size)],
      ];
      const serving = await kept(startPeer(process.execPath, args("server")));
      await serving.next();
      const connected = await kept(startPeer(process.execPath, args("client")));
      await Promise.all([connected.next(), serving.next()]);
      const found = await records();
      assert.deepEqual(bytesOf(found, connected.pid), { read: size, written: size });
      assert.deepEqual(bytesOf(found, serving.pid), { read: size, written: size });
    });
  }

  async function opensslServer() {
    const child = spawn(
      "openssl",
      [
        ...["s_server", "-accept", `127.0.0.1:${port}`, "-quiet", "-naccept", "1"],
        ...["-key", certificates.serverKey, "-cert", certificates.serverCertificate],
      ],
      { stdio: ["pipe", "pipe", "ignore"] },
    );
    let received = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    const closed = new Promise<number>((resolve) => child.once("close", () => resolve(received)));
    await sleep(Number(SETTLE_MS));
    return { pid: child.pid as number, received: closed };
  }

  it("curl: bytes are what the server read and wrote", async function () {
    needsCommand(this, "curl");
    const size = 300_000;
    const serving = await server("head", `w${size}`);
    const curl = spawn(
      "curl",
      ["-s", "--http0.9", "--cacert", certificates.ca, `https://localhost:${port}/`],
      {
        stdio: "ignore",
      },
    );
    await new Promise((resolve) => curl.once("close", resolve));
    const counts = await serving.next();
    const found = await records();
    assert.deepEqual(bytesOf(found, serving.pid), { read: counts.read, written: size });
    assert.deepEqual(bytesOf(found, curl.pid as number), { read: size, written: counts.read });
  });

  it("ssl_ptr tells two sessions of one process apart", async () => {
    const serving = await server("drain");
    const connected = await client("pair", port, certificates.ca, 1000, 3000);
    await connected.next();
    await serving.next();
    await serving.next();
    const found = await records();
    for (const [pid, operation] of [
      [connected.pid, "write"],
      [serving.pid, "read"],
    ] as const) {
      const own = found.filter((record) => record.pid === pid && record.event.operation === operation);
      const sums = [...Map.groupBy(own, ({ event }) => event.ssl_ptr).values()].map((ops) =>
        ops.reduce((sum, { event }) => sum + Number(event.bytes), 0),
      );
      assert.deepEqual(
        sums.toSorted((a, b) => a - b),
        [1000, 3000],
      );
    }
  });

  it("a half-closed connection gives what was really moved, both ways", async () => {
    const serving = await server("r1000", "w2000");
    const closing = await client("client", port, certificates.ca, "w1000", "half", "r2000");
    const sent = await closing.next();
    assert.deepEqual({ read: sent.read, written: sent.written }, { read: 2000, written: 1000 });
    await serving.next();
    const found = await records();
    assert.deepEqual(bytesOf(found, closing.pid), { read: 2000, written: 1000 });
    assert.deepEqual(bytesOf(found, serving.pid), { read: 1000, written: 2000 });
  });

  it("a connection closed under TLS and a failing handshake add nothing false", async () => {
    const serving = await server("drain");
    const closing = await client("abrupt", port, certificates.ca, 100);
    await closing.next();
    await serving.next();
    const distrusting = await client("distrust", port);
    assert.equal((await distrusting.next()).error, "SSLError");
    await serving.next();
    const found = await records();
    assert.deepEqual(bytesOf(found, closing.pid), { read: 0, written: 100 });
    assert.deepEqual(bytesOf(found, serving.pid), { read: 100, written: 0 });
    assert.deepEqual(
      found.filter(({ pid }) => pid === distrusting.pid),
      [],
    );
  });
});
