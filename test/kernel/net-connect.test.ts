import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import type { EvidenceRecord, NetConnect } from "../../src/evidence/record.ts";
import { skip } from "../skip.ts";
import { capture, needsProbes, startCapture, trigger } from "./live.ts";

type ConnectRecord = EvidenceRecord & { event: NetConnect };

/** A call as the trigger itself saw it. */
interface Call {
  pid: number;
  tid: number;
  call: "connect" | "accept" | "accept4";
  family: number;
  fd: number;
  addr: string;
  port: number;
  result: number;
  errno: number;
}

const EINPROGRESS = 115;
/** Long enough to attach to a file that was never seen before. */
const DELAY_MS = "700";
const LIBCS = ["", ".glibc-static", ".musl", ".musl-static"] as const;
const libcName = (suffix: string): string => suffix.slice(1).replace("-", " ") || "glibc";

const readCalls = (stdout: string): Call[] =>
  stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Call);

/** The record that a call must give. */
function expected({ pid, tid, call, fd, addr, port, result, errno }: Call) {
  const failedAccept = call !== "connect" && result < 0;
  return {
    src: `uprobe:${call}`,
    pid,
    tid,
    event: {
      type: "net_connect",
      fd,
      // A failed accept has no peer.
      addr: failedAccept ? "0.0.0.0" : addr.replace("::ffff:", ""),
      port,
      success: result >= 0 || (call === "connect" && errno === EINPROGRESS),
      ...(errno === 0 ? {} : { error: errno }),
    },
  };
}

const actual = ({ src, pid, tid, event }: ConnectRecord) => ({ src, pid, tid, event });

describe("net_connect", function () {
  this.timeout(120_000);
  before(function () {
    needsProbes(this, ["net_connect"]);
  });

  async function run(suffix: string, cases: readonly string[]) {
    const command = [trigger(`net-connect${suffix}`), DELAY_MS, ...cases];
    const { records, stdout, stderr, books } = await capture(["--events", "net_connect"], command);
    const calls = readCalls(stdout);
    const own = (records as ConnectRecord[]).filter(({ pid }) => pid === calls[0]?.pid);
    const balance = books.find(({ probe }) => probe === "net_connect");
    assert.ok(balance !== undefined);
    return { calls, records: own, stderr, balance };
  }

  for (const suffix of LIBCS) {
    describe(libcName(suffix), () => {
      before(function () {
        if (!existsSync(trigger(`net-connect${suffix}`))) {
          skip(this, `net-connect${suffix} was not built: its compiler is missing`);
        }
      });

      it("gives one record for each connect, as the program saw it", async () => {
        const cases = ["connect-4", "connect-6", "connect-mapped", "refused-4", "refused-6", "nonblocking"];
        const { calls, records, stderr } = await run(suffix, [...cases, "sndtimeo", "timeout"]);
        assert.equal(calls.length, 9);
        assert.deepEqual(records.map(actual), calls.map(expected), stderr);
      });

      it("gives one record for each accept, with the peer even where the caller did not ask for it", async () => {
        const cases = ["accept-4", "accept-6", "accept4-4", "accept-null", "accept4-null", "accept-again"];
        const { calls, records, stderr } = await run(suffix, cases);
        assert.equal(calls.length, 6);
        assert.deepEqual(records.map(actual), calls.map(expected), stderr);
      });

      it("counts what v1 can't hold, and other families as filtered", async () => {
        const { calls, records, balance } = await run(suffix, ["unix", "bad-pointer", "connect-4"]);
        assert.deepEqual(records.map(actual), calls.slice(2).map(expected));
        assert.ok(BigInt(balance.filtered) >= 1n, JSON.stringify(balance));
        assert.equal(balance.lost.read_fault, "1", JSON.stringify(balance));
      });

      it("mixes nothing up when 64 threads connect and fail at once", async () => {
        const { calls, records, balance } = await run(suffix, ["storm-64-50"]);
        assert.equal(calls.length, 3200);
        assert.deepEqual(balance.lost, {});
        const byThread = Map.groupBy(records, ({ tid }) => tid);
        for (const [tid, own] of Map.groupBy(calls, (call) => call.tid)) {
          assert.deepEqual((byThread.get(tid) ?? []).map(actual), own.map(expected));
        }
        assert.equal(records.length, calls.length);
      });
    });
  }

  it("of other processes is there without a command to follow", async () => {
    const background = await startCapture(["--events", "net_connect", "--comm", "net-connect"]);
    const { stdout } = await promisify(execFile)(trigger("net-connect"), [
      DELAY_MS,
      "connect-4",
      "refused-6",
    ]);
    const { records, code, stderr } = await background.stop();
    assert.equal(code, 0, stderr);
    const calls = readCalls(stdout);
    // Other tests start this program at the same time.
    const own = (records as ConnectRecord[]).filter(({ pid }) => pid === calls[0]?.pid);
    assert.deepEqual(own.map(actual), calls.map(expected));
  });
});
