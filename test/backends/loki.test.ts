import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readLoki } from "../../src/convert/loki-client.ts";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { skip } from "../skip.ts";
import { collectorMissing, startCollector } from "./collector.ts";
import { lokiMissing, type StartedLoki, startLoki } from "./loki.ts";
import {
  assertSame,
  decodeAll,
  drawRecords,
  type EncodedRecords,
  encodeRecords,
  type Sample,
  sendRequest,
} from "./round-trip.ts";

const LONG = process.env.RUNTIME_EVIDENCE_TEST_LONG === "1";
const RECORDS = LONG ? 20_000 : 1_000;
const REQUEST_BYTES_MAX = 512 * 1024;

/** One that no Loki takes by default, whatever is drawn. */
const TOO_LARGE: EvidenceRecord = {
  ts_ns: 1,
  src: "sys_enter_openat",
  pid: 1,
  comm: "long",
  event: { type: "file_open", path: "x".repeat(70_000) },
};

interface Sent {
  readonly serviceName: string;
  readonly startNs: bigint;
  readonly sample: Sample;
  readonly encoded: EncodedRecords;
}

/** Each kind of trip has a service name of its own, and with it streams. */
function prepare(serviceName: string, sample: Sample): Sent {
  const startNs = BigInt(Date.now()) * 1_000_000n;
  const options = { serviceName, startNs, requestBytesMax: REQUEST_BYTES_MAX };
  return { serviceName, startNs, sample, encoded: encodeRecords(sample.records, options) };
}

describe("real Loki", function () {
  this.timeout(LONG ? 900_000 : 120_000);
  let loki: StartedLoki;
  let sample: Sample;
  let direct: Sent;

  before(async function () {
    const reason = lokiMissing();
    if (reason !== undefined) skip(this, reason);
    loki = await startLoki(["-store.max-query-length=1h"]);
    const { seed, records } = drawRecords(RECORDS - 1);
    sample = { seed, records: [...records, TOO_LARGE] };
    direct = prepare("direct", sample);
    for (const [index, request] of direct.encoded.requests.entries()) {
      const response = await sendRequest(loki.otlpEndpoint, request, index % 2 === 0 ? "protobuf" : "json");
      assert.equal(response.status, 204, await response.text());
    }
  });
  after(async () => {
    await loki?.remove();
  });

  const query = ({ serviceName, startNs }: Sent) => ({
    url: loki.url,
    query: `{service_name="${serviceName}"}`,
    startNs,
    endNs: startNs + BigInt(RECORDS),
    timeoutMs: 20_000,
  });

  function assertAllBack(sent: Sent, decoded: Awaited<ReturnType<typeof decodeAll>>): void {
    assertSame(decoded, sent.sample, (index) => !sent.encoded.refused.has(index));
  }

  it("gives back live what it was sent, equal, once and in the order of time, whatever process the resource names", async () => {
    const decoded = await decodeAll(readLoki(query(direct)));
    assertAllBack(direct, decoded);
    const times = decoded.map(({ timeUnixNano }) => timeUnixNano);
    assert.ok(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0n)));
  });

  it("gives the same in small pages", async () => {
    const few = query(direct);
    const decoded = await decodeAll(readLoki({ ...few, endNs: few.startNs + 50n, limit: 7 }));
    assert.deepEqual(
      decoded.map(({ timeUnixNano }) => timeUnixNano - few.startNs),
      sample.records
        .slice(0, 50)
        .flatMap((_, index) => (direct.encoded.refused.has(index) ? [] : [BigInt(index)])),
    );
  });

  it("is read by convert --loki-url", async () => {
    const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
    const { url, query: expression } = query(direct);
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [main, "convert", "--loki-url", url, "--query", expression, "--since", "30m"],
      { maxBuffer: 1024 ** 3, timeout: 120_000 },
    );
    const count = RECORDS - direct.encoded.refused.size;
    assert.equal(stdout.split("\n").length - 1, count, stderr);
    assert.match(stderr, new RegExp(`^${count.toLocaleString("en")} records$`, "m"));
  });

  for (const form of ["categorised", "merged"] as const) {
    it(`gives answers that are read as files, ${form}`, async () => {
      const answers: Buffer[] = [];
      const { url, query: expression, startNs } = query(direct);
      for (let from = 0; from < RECORDS; from += 500) {
        const parameters = new URLSearchParams({
          query: expression,
          start: String(startNs + BigInt(from)),
          end: String(startNs + BigInt(from + 500)),
          limit: "500",
          direction: form === "merged" ? "backward" : "forward",
        });
        const headers = form === "merged" ? {} : { "x-loki-response-encoding-flags": "categorize-labels" };
        const response = await fetch(`${url}/loki/api/v1/query_range?${parameters}`, {
          headers: new Headers(headers as Record<string, string>),
          signal: AbortSignal.timeout(20_000),
        });
        assert.equal(response.status, 200);
        answers.push(Buffer.from(await response.arrayBuffer()));
      }
      const file = (async function* () {
        yield* answers;
      })();
      assertAllBack(direct, await decodeAll(readStoredRequests(file)));
    });
  }

  it("refuses what its limits, asked before sending, say that it does", async () => {
    assert.ok(direct.encoded.refused.has(RECORDS - 1));
    for (const [index, body] of direct.encoded.refused) {
      const response = await sendRequest(loki.otlpEndpoint, body);
      const text = await response.text();
      assert.equal(
        response.status,
        400,
        `RUNTIME_EVIDENCE_TEST_SEED=${sample.seed}, record ${index}: ${text}`,
      );
      assert.match(text, /structured metadata|Max entry size|max size/i);
    }
  });

  it("gives back what otel-config/collector-loki.yaml has sent it", async function () {
    const reason = collectorMissing();
    if (reason !== undefined) skip(this, reason);
    const collector = await startCollector({ config: "loki", lokiEndpoint: loki.otlpEndpoint });
    try {
      const sent = prepare("collector", sample);
      for (const request of sent.encoded.requests) {
        const response = await sendRequest(collector.httpEndpoint, request);
        assert.equal(response.status, 200, await response.text());
      }
      const count = RECORDS - sent.encoded.refused.size;
      const deadline = performance.now() + 60_000;
      let decoded = await decodeAll(readLoki(query(sent)));
      while (decoded.length < count && performance.now() < deadline) {
        await delay(200);
        decoded = await decodeAll(readLoki(query(sent)));
      }
      assertAllBack(sent, decoded);
    } finally {
      await collector.remove();
    }
  });

  it("is read in parts where the range of time is longer than it takes in one query", async () => {
    const reports: string[] = [];
    const hour = 3_600_000_000_000n;
    const { startNs, ...rest } = query(direct);
    const long = { ...rest, startNs: startNs - 3n * hour, report: (line: string) => reports.push(line) };
    assertAllBack(direct, await decodeAll(readLoki(long)));
    assert.match(reports.join("\n"), /the time range is too long for one query of Loki/);
  });

  it("refuses what is no query, and the reason is its own", async () => {
    const wrong = decodeAll(readLoki({ ...query(direct), query: "{service_name=" }));
    await assert.rejects(wrong, { code: "usage", message: /^Loki refused the query: parse error/ });
    const numbers = decodeAll(
      readLoki({ ...query(direct), query: 'sum(rate({service_name="direct"}[1m]))' }),
    );
    await assert.rejects(numbers, { code: "usage", message: /gives numbers/ });
  });
});
