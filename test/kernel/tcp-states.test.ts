import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { EvidenceRecord, TcpState } from "../../src/evidence/record.ts";
import { capture, needsKernel, trigger } from "./live.ts";

type TcpRecord = EvidenceRecord & { event: TcpState };

/** What inet_sock_set_state reports for one connection, by side; TIME_WAIT belongs to another kind of socket. */
const LISTENER = ["CLOSE>LISTEN", "LISTEN>CLOSE"];
const CLIENT_OPENS = ["CLOSE>SYN_SENT", "SYN_SENT>ESTABLISHED"];
const SERVER_OPENS = ["LISTEN>SYN_RECV", "SYN_RECV>ESTABLISHED"];
const CLOSES_FIRST = ["ESTABLISHED>FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE"];
const CLOSES_SECOND = ["ESTABLISHED>CLOSE_WAIT", "CLOSE_WAIT>LAST_ACK", "LAST_ACK>CLOSE"];

const ADDRESSES = {
  "4": { client: "127.0.0.1", family: "inet" },
  "6": { client: "::1", family: "inet6" },
  mapped: { client: "127.0.0.1", family: "inet6" },
} as const;

describe("tcp_state", function () {
  this.timeout(60_000);
  const noise: ReturnType<typeof spawn>[] = [];
  before(function () {
    needsKernel(this);
    // Unrelated load, so that softirqs run in the context of bystanders.
    for (let index = 0; index < 2; index++) {
      noise.push(spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }));
    }
  });
  after(() => {
    for (const child of noise) child.kill("SIGKILL");
  });

  const transitions = (records: TcpRecord[]) =>
    records.map(({ event }) => `${event.oldstate}>${event.newstate}`);

  type Pids = Record<"server_pid" | "client_pid" | "worker_pid" | "server_port" | "client_port", number>;

  /** The records by the side they belong to, in order of time. */
  function bySide(records: EvidenceRecord[], stdout: string) {
    const pids = JSON.parse(stdout) as Pids;
    const tcp = (records as TcpRecord[]).toSorted((a, b) => Number(BigInt(a.ts_ns) - BigInt(b.ts_ns)));
    const { server_port, client_port } = pids;
    // The local port of a connecting socket is not chosen yet when it goes to SYN_SENT.
    const client = tcp.filter(
      ({ event }) => event.dport === server_port && (event.sport === client_port || event.sport === 0),
    );
    const accepted = tcp.filter(({ event }) => event.sport === server_port && event.dport === client_port);
    const listener = tcp.filter(({ event }) => event.sport === server_port && event.dport === 0);
    assert.equal(
      client.length + accepted.length + listener.length,
      tcp.length,
      "every record belongs to one side",
    );
    return { pids, client, accepted, listener };
  }

  async function connection(family: string, closer: string) {
    const { records, stdout } = await capture(
      ["--events", "tcp_state"],
      [trigger("tcp-pair"), family, closer],
    );
    return bySide(records, stdout);
  }

  /** The same, where the listener or the connection is there before the capture starts. */
  async function olderConnection(family: string, closer: string, older: "listener" | "connection") {
    const pair = spawn(trigger("tcp-pair"), [family, closer, older], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let stdout = "";
    const ready = new Promise<void>((resolve) => {
      pair.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk;
        if (stdout.startsWith("ready\n")) resolve();
      });
    });
    const ended = once(pair, "close");
    try {
      await Promise.race([ready, ended]);
      const release = `kill -USR1 ${pair.pid} && while kill -0 ${pair.pid} 2>/dev/null; do sleep 0.02; done`;
      const tree = ["--tree", String(pair.pid)];
      const { records } = await capture(["--events", "tcp_state", ...tree], ["sh", "-c", release]);
      await ended;
      return bySide(records, stdout.replace("ready\n", ""));
    } finally {
      pair.kill("SIGKILL");
    }
  }

  for (const family of ["4", "6", "mapped"] as const) {
    for (const closer of ["client", "server"] as const) {
      it(`reports every transition in order with the right pid: family ${family}, ${closer} closes first`, async () => {
        const { pids, client, accepted, listener } = await connection(family, closer);
        const clientCloses = closer === "client" ? CLOSES_FIRST : CLOSES_SECOND;
        const serverCloses = closer === "client" ? CLOSES_SECOND : CLOSES_FIRST;
        assert.deepEqual(transitions(client), [...CLIENT_OPENS, ...clientCloses]);
        assert.deepEqual(transitions(accepted), [...SERVER_OPENS, ...serverCloses]);
        assert.deepEqual(transitions(listener), LISTENER);
        for (const { pid, comm } of client)
          assert.deepEqual({ pid, comm }, { pid: pids.client_pid, comm: "tcp-pair" });
        for (const { pid } of [...accepted, ...listener]) assert.equal(pid, pids.server_pid);
        const { client: address, family: name } = ADDRESSES[family];
        for (const { event } of [...client, ...accepted]) {
          assert.equal(event.family, name);
          assert.equal(event.daddr, address);
          assert.equal(event.saddr, address);
        }
      });
    }
  }

  it("names the worker that accepted, once it has, and the listening process before", async () => {
    const { pids, accepted, listener } = await connection("prefork-4", "client");
    const byTransition = new Map(
      accepted.map(({ pid, event }) => [`${event.oldstate}>${event.newstate}`, pid]),
    );
    assert.deepEqual(transitions(accepted), [...SERVER_OPENS, ...CLOSES_SECOND]);
    assert.equal(byTransition.get("SYN_RECV>ESTABLISHED"), pids.server_pid);
    assert.equal(byTransition.get("CLOSE_WAIT>LAST_ACK"), pids.worker_pid);
    assert.equal(byTransition.get("LAST_ACK>CLOSE"), pids.worker_pid);
    for (const { pid } of listener) assert.equal(pid, pids.server_pid);
  });

  for (const closer of ["client", "server"] as const) {
    it(`knows whose a listener is that is older than the capture, and its connections: ${closer} closes first`, async () => {
      const { pids, client, accepted, listener } = await olderConnection("4", closer, "listener");
      const serverCloses = closer === "client" ? CLOSES_SECOND : CLOSES_FIRST;
      assert.deepEqual(transitions(accepted), [...SERVER_OPENS, ...serverCloses]);
      assert.deepEqual(transitions(listener), ["LISTEN>CLOSE"]);
      for (const { pid, comm } of [...accepted, ...listener])
        assert.deepEqual({ pid, comm }, { pid: pids.server_pid, comm: "tcp-pair" });
      assert.ok(client.length > 0 && client.every(({ pid }) => pid === pids.client_pid));
    });

    it(`knows whose a connection is that is older than the capture: ${closer} closes first`, async () => {
      const { pids, client, accepted } = await olderConnection("6", closer, "connection");
      const [clientCloses, serverCloses] =
        closer === "client" ? [CLOSES_FIRST, CLOSES_SECOND] : [CLOSES_SECOND, CLOSES_FIRST];
      assert.deepEqual(transitions(client), clientCloses);
      assert.deepEqual(transitions(accepted), serverCloses);
      for (const { pid } of client) assert.equal(pid, pids.client_pid);
      for (const { pid } of accepted) assert.equal(pid, pids.server_pid);
    });
  }

  it("of the processes that share an older listener, the first one has it until a worker accepts", async () => {
    const { pids, accepted } = await olderConnection("prefork-4", "client", "listener");
    const pidOf = (transition: string) =>
      accepted.find(({ event }) => `${event.oldstate}>${event.newstate}` === transition)?.pid;
    assert.equal(pidOf("LISTEN>SYN_RECV"), pids.server_pid);
    assert.equal(pidOf("SYN_RECV>ESTABLISHED"), pids.server_pid);
    assert.equal(pidOf("LAST_ACK>CLOSE"), pids.worker_pid);
  });
});
