import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { FrameFlag } from "../../src/frames/layout.gen.ts";
import { closedPort, httpServer, type RunningServer } from "../delivery/servers.ts";
import { countersFrame, fileOpenFrame, helloFrame } from "../frames/build-frame.ts";
import { booksOf, CLI, needsKernel, runCli } from "../kernel/live.ts";
import { until } from "../process.ts";
import { metricValues, prometheusValues } from "./metric-values.ts";

const EVENTS = 5000;
const FILTERED = 7n;

function counters(events: number, flags = 0): Buffer {
  const seen = BigInt(events) + FILTERED;
  return countersFrame({ 0: { seen, emitted: BigInt(events), filtered: FILTERED } }, flags);
}

const events = (count: number): Buffer => Buffer.concat(new Array<Buffer>(count).fill(fileOpenFrame()));

interface Status {
  command: string;
  starting?: boolean;
  probes: { probe: string; seen: string; exported: string; pending: string }[];
  stream: { id: string; last_sequence: number };
  sender: { records_accepted: number };
  pipe: { bytes_read: number };
}

/** A run of the command line that a test talks to. */
class Run {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly exited: Promise<number>;

  constructor(args: readonly string[], nodeArgs: readonly string[] = [], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [...nodeArgs, CLI, ...args], { env: { ...process.env, ...env } });
    this.child.stdout?.on("data", (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr?.on("data", (chunk) => {
      this.stderr += chunk;
    });
    this.child.stdin?.on("error", () => {});
    this.exited = once(this.child, "close").then(([code]) => code as number);
  }

  until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
    return until(isTrue, () => `${this.stdout.slice(-1000)}\n${this.stderr.slice(-3000)}`);
  }

  get statuses(): Status[] {
    const lines = this.stderr.split("\n").filter((line) => line.startsWith('{"command":'));
    return lines.map((line) => JSON.parse(line) as Status);
  }

  /** What it says when it is asked. */
  async status(): Promise<Status> {
    const before = this.statuses.length;
    this.child.kill("SIGUSR1");
    await this.until(() => this.statuses.length > before);
    return this.statuses.at(-1) as Status;
  }
}

describe("status and metrics of a run", function () {
  this.timeout(60_000);
  this.retries(1);
  let directory = "";
  let collector: RunningServer;
  let metrics: unknown[] = [];
  let paths: string[] = [];
  const runs: Run[] = [];
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-status-"));
    collector = await httpServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      paths.push(request.url ?? "");
      const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
      if (request.url === "/v1/metrics") metrics.push(JSON.parse(text.toString()));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  beforeEach(() => {
    metrics = [];
    paths = [];
  });
  afterEach(() => {
    for (const { child } of runs.splice(0)) child.kill("SIGKILL");
  });
  after(async () => {
    await collector.close();
    rmSync(directory, { recursive: true });
  });

  const start = (...options: ConstructorParameters<typeof Run>): Run => {
    const run = new Run(...options);
    runs.push(run);
    return run;
  };
  const toCollector = () => ["--otlp-endpoint", `http://localhost:${collector.port}`, "--batch-age", "50ms"];

  it("are the books, whoever asks: SIGUSR1, Prometheus, OTLP, and the summary", async () => {
    const json = ["--otlp-protocol", "http/json", "--otlp-compression", "gzip"];
    const both = ["--metrics", "otlp", "--metrics-listen", "127.0.0.1:0", "--summary", "json"];
    const run = start(["replay", "-", ...toCollector(), ...json, ...both]);
    const feed = (frames: Buffer) => run.child.stdin?.write(frames);
    feed(Buffer.concat([helloFrame(), events(EVENTS), counters(EVENTS)]));
    await run.until(() => /metrics on/.test(run.stderr));
    const fileOpen = async () => (await run.status()).probes?.find(({ probe }) => probe === "file_open");
    await run.until(async () => (await fileOpen())?.exported === String(EVENTS));
    const status = await run.status();
    assert.equal(status.command, "replay");
    const [address] = /(?<=metrics on )\S+/.exec(run.stderr) ?? [];
    const scrape = async () => prometheusValues(await (await fetch(address as string)).text());
    const first = await scrape();
    const probe = '{runtime_evidence_probe_type="file_open"}';
    assert.equal(first.values.get(`runtime_evidence_kernel_event_seen_total${probe}`), EVENTS + 7);
    assert.equal(first.values.get(`runtime_evidence_kernel_event_filtered_total${probe}`), 7);
    assert.equal(first.values.get(`runtime_evidence_event_exported_total${probe}`), EVENTS);
    assert.equal(first.values.get(`runtime_evidence_event_pending${probe}`), 0);
    assert.equal(first.values.get("runtime_evidence_stream_record_total"), status.stream.last_sequence);
    assert.equal(first.values.get("runtime_evidence_pipe_io_total"), status.pipe.bytes_read);
    assert.deepEqual((await fileOpen())?.pending, "0");

    feed(Buffer.concat([events(EVENTS), counters(2 * EVENTS, FrameFlag.FINAL)]));
    await run.until(async () => (await fileOpen())?.exported === String(2 * EVENTS));
    await sleep(300); // a scrape within a quarter of a second gets the values of the last
    const second = await scrape();
    assert.equal(second.values.get(`runtime_evidence_event_exported_total${probe}`), 2 * EVENTS);
    assert.ok(first.counters.size > 15);
    for (const name of first.counters) {
      const [before, after] = [first.values.get(name) as number, second.values.get(name) as number];
      assert.ok(after >= before, `${name}: ${before}, then ${after}`);
    }
    assert.equal(metrics.length, 0, "the interval is a minute");

    run.child.stdin?.end();
    assert.equal(await run.exited, 0, run.stderr);
    const [books] = booksOf({ code: 0, stdout: "", stderr: run.stderr });
    const last = metricValues(metrics.at(-1));
    for (const [name, count] of [
      ["kernel.event.seen", books?.seen],
      ["kernel.event.filtered", books?.filtered],
      ["event.exported", books?.exported],
    ]) {
      assert.equal(
        last.values.get(`runtime_evidence.${name}{runtime_evidence.probe.type=file_open}`),
        Number(count),
      );
    }
    // The events, and what the stream says of its beginning and its end.
    const component =
      "{otel.component.name=otlp_http_json_log_exporter/0,otel.component.type=otlp_http_json_log_exporter}";
    assert.equal(last.values.get(`otel.sdk.exporter.log.exported${component}`), 2 * EVENTS + 2);
    assert.equal(last.values.get(`otel.sdk.exporter.log.inflight${component}`), 0);
    assert.equal(last.values.get("runtime_evidence.queue.usage{runtime_evidence.queue.type=memory}"), 0);
    assert.equal(last.resource.get("service.instance.id"), status.stream.id);
  });

  it("that nobody asks for cost nothing: no listener, no request, nothing loaded", async () => {
    const hook =
      'import{registerHooks}from"node:module";registerHooks({load(u,c,n){' +
      'if(/sdk-metrics|exporter-prometheus/.test(u))process.stderr.write("LOADED "+u+"\\n");return n(u,c)}})';
    const watched = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`];
    const quiet = start(["replay", "-", ...toCollector()], watched);
    quiet.child.stdin?.write(Buffer.concat([helloFrame(), events(10), counters(10, FrameFlag.FINAL)]));
    await quiet.until(() => paths.length > 0);
    assert.deepEqual(listeningSockets(quiet.child.pid as number), []);
    quiet.child.stdin?.end();
    assert.equal(await quiet.exited, 0);
    assert.doesNotMatch(quiet.stderr, /LOADED|"command"|metrics on/);
    assert.deepEqual([...new Set(paths)], ["/v1/logs"]);
    // The same eyes see it where it is.
    const asked = start(["replay", "-", ...toCollector(), "--metrics-listen", "127.0.0.1:0"], watched);
    await asked.until(() => /metrics on/.test(asked.stderr));
    assert.match(asked.stderr, /LOADED/);
    assert.equal(listeningSockets(asked.child.pid as number).length, 1);
  });

  it("are no reason to fail: a collector without metrics is told in a line, and evidence goes on", async () => {
    const elsewhere = `http://127.0.0.1:${await closedPort()}`;
    const env = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: elsewhere, OTEL_METRIC_EXPORT_INTERVAL: "100" };
    const run = start(["replay", "-", ...toCollector(), "--metrics", "otlp"], [], env);
    run.child.stdin?.write(Buffer.concat([helloFrame(), events(10), counters(10, FrameFlag.FINAL)]));
    await run.until(() => /^metrics: collector: connection ECONNREFUSED.*not sent again$/m.test(run.stderr));
    run.child.stdin?.end();
    assert.equal(await run.exited, 0, run.stderr);
    assert.equal(run.stderr.match(/^metrics:/gm)?.length, 1, run.stderr);
  });

  it("are for this host only, and refused before anything runs", async () => {
    const recording = join(directory, "recording");
    writeFileSync(recording, Buffer.concat([helloFrame(), counters(0, FrameFlag.FINAL)]));
    for (const [address, line] of [
      ["0.0.0.0:9464", /^error: metrics are served on loopback only, and 0\.0\.0\.0 is not/],
      ["127.0.0.1:99999", /write it as 127\.0\.0\.1:9464/],
    ] as const) {
      const { code, stdout, stderr } = await runCli(["replay", recording, "--metrics-listen", address]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, line);
      assert.equal(stdout, "");
    }
    assert.equal((await runCli(["replay", recording, "--status", "1ms"])).code, 2);
  });

  it("are said by export and receive, too, and at intervals", async () => {
    const stored = join(directory, "stored.ndjson");
    const receiver = start(["receive", "--grpc", "none", "--http", "127.0.0.1:0", "--output", stored]);
    await receiver.until(() => /OTLP\/HTTP on/.test(receiver.stderr));
    const [address] = /(?<=OTLP\/HTTP on )[^;\s]+/.exec(receiver.stderr) ?? [];
    const exporter = start([
      "export",
      "-",
      "--from",
      "v1",
      "--otlp-endpoint",
      `http://${address}`,
      "--status",
      "100ms",
    ]);
    const record = {
      ...{ ts_ns: 1, src: "sys_enter_openat", pid: 1, tid: 1, cgroup_id: 1, comm: "c" },
      event: { type: "file_open", path: "/x", flags: 0, access: "read", dfd: -100 },
    };
    exporter.child.stdin?.write(`${JSON.stringify(record)}\n`.repeat(EVENTS));
    const exported = () =>
      exporter.statuses.at(-1)?.probes?.find(({ probe }) => probe === "file_open")?.exported;
    await exporter.until(() => Number(exported() ?? 0) > 0);
    exporter.child.stdin?.end();
    assert.equal(await exporter.exited, 0, exporter.stderr);
    const { records, requests_refused } = (await receiver.status()) as unknown as {
      records: Record<string, number>;
      requests_refused: number;
    };
    assert.deepEqual(
      { written: records.written, requests_refused },
      { written: EVENTS, requests_refused: 0 },
    );
    receiver.child.kill("SIGTERM");
    assert.equal(await receiver.exited, 0);
  });

  it("are none of a followed command's business", async function () {
    needsKernel(this);
    const output = join(directory, "evidence.ndjson");
    const script = 'trap "echo got a signal" USR1; echo ready; read line; exit 7';
    const run = start(["capture", "--output", output, "--", "sh", "-c", script]);
    await run.until(() => run.stdout.includes("ready"));
    const status = await run.status();
    assert.equal(status.command, "capture");
    assert.ok(status.probes.some(({ probe, seen }) => probe === "process_exec" && BigInt(seen) >= 0n));
    run.child.stdin?.end("\n");
    assert.equal(await run.exited, 7);
    assert.equal(run.stdout, "ready\n");
  });
});

/** Inodes of the TCP sockets on which a process listens: state 0A in proc(5), /proc/PID/net/tcp. */
function listeningSockets(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const own = readdirSync(folder).map((fd) => /socket:\[(\d+)\]/.exec(readlinkSync(join(folder, fd)))?.[1]);
  return ["tcp", "tcp6"].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, "utf8")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A" && own.includes(fields[9]))
      .map((fields) => fields[9] as string),
  );
}
