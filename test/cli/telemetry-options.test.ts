import assert from "node:assert/strict";
import { resolveMetricExport } from "../../src/cli/telemetry-options.ts";

function resolve(flags: Parameters<typeof resolveMetricExport>[0], environment: Record<string, string>) {
  const lines: string[] = [];
  return { ...resolveMetricExport(flags, (line) => lines.push(line), environment), lines };
}

describe("where metrics go", () => {
  const secret = { otlpHeader: ["authorization=secret"] };

  it("is where evidence goes, with its headers, over each protocol", () => {
    const http = resolve({ otlpEndpoint: "http://c:4318", ...secret }, {});
    assert.equal(http.otlp.target, "http://c:4318/v1/metrics");
    assert.equal(http.otlp.headers.get("authorization"), "secret");
    const named = resolve({ otlpEndpoint: "https://c/otlp/v1/logs" }, {});
    assert.equal(named.otlp.target, "https://c/otlp/v1/metrics");
    const grpc = resolve({ otlpEndpoint: "http://c:4317" }, {});
    assert.deepEqual([grpc.otlp.protocol, grpc.otlp.target], ["grpc", "dns:c:4317"]);
    assert.equal(grpc.otlp.signal, "metrics");
    const generic = resolve({}, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://g:4318" });
    assert.equal(generic.otlp.target, "http://g:4318/v1/metrics");
  });

  it("is said by variables of metrics, and never by those of logs", () => {
    const logs = {
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "http://l/v1/logs",
      OTEL_EXPORTER_OTLP_LOGS_HEADERS: "a=b",
    };
    const { otlp } = resolve({}, logs);
    assert.equal(otlp.target, "http://localhost:4318/v1/metrics");
    assert.equal(otlp.headers.size, 0);
    const metrics = resolve({}, { ...logs, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m/x" });
    assert.equal(metrics.otlp.target, "http://m/x");
    const timeout = resolve({}, { OTEL_EXPORTER_OTLP_TIMEOUT: "1", OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "2" });
    assert.equal(timeout.otlp.timeoutMs, 2);
  });

  it("gets no secret that was given for another collector", () => {
    const elsewhere = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m:4318/v1/metrics" };
    const { otlp } = resolve(
      { otlpEndpoint: "http://c:4317", otlpHeadersFile: "/secrets", ...secret },
      elsewhere,
    );
    assert.equal(otlp.target, "http://m:4318/v1/metrics");
    assert.equal(otlp.protocol, "http/protobuf");
    assert.equal(otlp.headers.size, 0);
    assert.equal(otlp.headersFile, undefined);
  });

  it("and how often is as OpenTelemetry's variables say, where they make sense", () => {
    const plain = resolve({}, {});
    assert.deepEqual([plain.intervalMs, plain.timeoutMs, plain.temporality], [60_000, 30_000, "cumulative"]);
    assert.deepEqual(plain.lines, []);
    const chosen = resolve(
      {},
      {
        OTEL_METRIC_EXPORT_INTERVAL: "1000",
        OTEL_METRIC_EXPORT_TIMEOUT: "500",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "DELTA",
      },
    );
    assert.deepEqual([chosen.intervalMs, chosen.timeoutMs, chosen.temporality], [1000, 500, "delta"]);
    const wrong = resolve(
      {},
      {
        OTEL_METRIC_EXPORT_INTERVAL: "0",
        OTEL_METRIC_EXPORT_TIMEOUT: "soon",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "both",
      },
    );
    assert.deepEqual([wrong.intervalMs, wrong.timeoutMs, wrong.temporality], [60_000, 30_000, "cumulative"]);
    assert.equal(wrong.lines.length, 3);
  });
});
