import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationTemporality, InstrumentType } from "@opentelemetry/sdk-metrics";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import { OtlpMetricExporter } from "../../src/pipeline/otlp-metric-exporter.ts";
import type { Temporality } from "../../src/pipeline/telemetry.ts";
import { httpServer, type RunningServer } from "../delivery/servers.ts";

const NOTHING = { resource: resourceFromAttributes({}), scopeMetrics: [] };

function exporterTo(
  port: number,
  lines: string[],
  temporality: Temporality = "cumulative",
): OtlpMetricExporter {
  const overrides = {
    endpoint: `http://127.0.0.1:${port}`,
    headers: ["authorization=a-secret"],
    timeoutMs: 5000,
  };
  const { options } = readOtlpOptions({}, overrides, "metrics");
  const times = { intervalMs: 1000, timeoutMs: 5000 };
  return new OtlpMetricExporter({ otlp: options, ...times, temporality }, (line) => lines.push(line));
}

const exported = (exporter: OtlpMetricExporter): Promise<ExportResult> =>
  new Promise((resolve) => exporter.export(NOTHING, resolve));

describe("export of metrics", () => {
  let server: RunningServer;
  let answer: { status: number; body: Buffer } | undefined;
  const requests: { url: string | undefined; authorization: string | undefined }[] = [];
  before(async () => {
    server = await httpServer((request, response) => {
      requests.push({ url: request.url, authorization: request.headers.authorization });
      request.resume();
      if (answer === undefined) return;
      const type = { "content-type": "application/x-protobuf" };
      response.writeHead(answer.status, type).end(answer.body);
    });
  });
  after(() => server.close());

  it("is one request for each, with the headers of evidence, and says nothing when all is well", async () => {
    answer = { status: 200, body: Buffer.alloc(0) };
    const lines: string[] = [];
    const exporter = exporterTo(server.port, lines);
    assert.equal((await exported(exporter)).code, ExportResultCode.SUCCESS);
    assert.deepEqual(requests.splice(0), [{ url: "/v1/metrics", authorization: "a-secret" }]);
    assert.deepEqual(lines, []);
    await exporter.shutdown();
  });

  it("that fails is said once in a while, without secrets, and not tried again", async () => {
    answer = { status: 503, body: Buffer.from("a-secret is not welcome") };
    const lines: string[] = [];
    const exporter = exporterTo(server.port, lines);
    for (let times = 0; times < 3; times++) {
      assert.equal((await exported(exporter)).code, ExportResultCode.FAILED);
    }
    assert.equal(requests.splice(0).length, 3);
    assert.equal(lines.length, 1);
    assert.match(lines[0] as string, /^metrics: collector: http 503.*not sent again$/);
    assert.doesNotMatch(lines[0] as string, /a-secret/);
    await exporter.shutdown();
  });

  it("that a collector took in part is said, and ends one that hangs", async () => {
    // ExportMetricsServiceResponse { partial_success { rejected_data_points: 2, error_message: "no" } }
    answer = { status: 200, body: Buffer.from([10, 6, 8, 2, 18, 2, 110, 111]) };
    const lines: string[] = [];
    const exporter = exporterTo(server.port, lines);
    assert.equal((await exported(exporter)).code, ExportResultCode.SUCCESS);
    assert.deepEqual(lines, ["metrics: collector warns: no"]);
    answer = undefined;
    const hanging = exported(exporter);
    await sleep(50);
    await exporter.shutdown();
    assert.equal((await hanging).code, ExportResultCode.FAILED);
    requests.splice(0);
  });

  it("has the temporality that was asked for; what goes up and down is never a difference", async () => {
    const { DELTA, CUMULATIVE } = AggregationTemporality;
    const of = (temporality: Temporality) => {
      const exporter = exporterTo(server.port, [], temporality);
      return [
        InstrumentType.OBSERVABLE_COUNTER,
        InstrumentType.HISTOGRAM,
        InstrumentType.OBSERVABLE_UP_DOWN_COUNTER,
      ].map((instrument) => exporter.selectAggregationTemporality(instrument));
    };
    assert.deepEqual(of("cumulative"), [CUMULATIVE, CUMULATIVE, CUMULATIVE]);
    assert.deepEqual(of("delta"), [DELTA, DELTA, CUMULATIVE]);
    assert.deepEqual(of("lowmemory"), [CUMULATIVE, DELTA, CUMULATIVE]);
  });
});
