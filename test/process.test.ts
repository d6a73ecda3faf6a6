import assert from "node:assert/strict";
import { createServer } from "node:net";
import { freePorts, startProcess } from "./process.ts";

const shell = (script: string) => ({ command: "sh", args: ["-c", script] });

describe("started processes", () => {
  it("are ready when they say so, and end on SIGTERM", async () => {
    const started = await startProcess({
      ...shell("echo up; exec sleep 60"),
      isReady: ({ stdout }) => stdout.includes("up"),
    });
    assert.deepEqual(await started.stop(), { code: null, signal: "SIGTERM" });
    assert.throws(() => process.kill(started.pid, 0), { code: "ESRCH" });
  });

  it("that ignore SIGTERM are killed after the bound", async () => {
    const started = await startProcess({
      ...shell('trap "" TERM; echo up; while :; do sleep 0.05; done'),
      isReady: ({ stdout }) => stdout.includes("up"),
      stopTimeoutMs: 100,
    });
    assert.deepEqual(await started.stop(), { code: null, signal: "SIGKILL" });
  });

  it("that end or are late fail the start, with their output", async () => {
    await assert.rejects(
      startProcess({ ...shell("echo broken >&2; exit 3"), isReady: () => false }),
      /\(3\).*broken/s,
    );
    const late = { ...shell("echo slow; exec sleep 60"), isReady: () => false, readyTimeoutMs: 200 };
    await assert.rejects(startProcess(late), /not ready after 200 ms.*slow/s);
    await assert.rejects(startProcess({ command: "/nonexistent/program" }), { code: "ENOENT" });
  });

  it("get free ports, each once", async () => {
    const ports = await freePorts(20);
    assert.equal(new Set(ports).size, 20);
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(ports[0], "127.0.0.1", resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  });
});
