/** Metrics as a test compares them, from each form in which they leave. */
import assert from "node:assert/strict";

export interface MetricValues {
  /** By name and, in braces, attributes; a histogram by its parts. */
  readonly values: ReadonlyMap<string, number>;
  /** Names, with attributes, of those that only grow. */
  readonly counters: ReadonlySet<string>;
  readonly resource: ReadonlyMap<string, string>;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = `[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"`;
const SAMPLE = new RegExp(
  `^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$`,
);
const COMMENT = new RegExp(
  `^# (?:HELP (${NAME}) .+|UNIT (${NAME}) \\S+|TYPE (${NAME}) (counter|gauge|histogram))$`,
);

/** Reads the text format of Prometheus, and refuses what is not of its grammar. */
export function prometheusValues(text: string): MetricValues {
  const values = new Map<string, number>();
  const counters = new Set<string>();
  const types = new Map<string, string>();
  assert.ok(text.endsWith("\n"), "the last line ends");
  for (const line of text.split("\n").filter((part) => part !== "")) {
    if (line.startsWith("#")) {
      const [, , , name, type] = COMMENT.exec(line) ?? assert.fail(`no comment of Prometheus: ${line}`);
      if (name === undefined) continue;
      assert.ok(!types.has(name), `${name} has two types`);
      types.set(name, type as string);
      continue;
    }
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? assert.fail(`no sample of Prometheus: ${line}`);
    const key = `${name}${labels}`;
    assert.ok(!values.has(key), `${key} comes twice`);
    values.set(key, Number(value));
    const type =
      types.get(name as string) ?? types.get((name as string).replace(/_(?:bucket|count|sum)$/, ""));
    assert.ok(type !== undefined, `${name} has no type`);
    if (type !== "gauge") counters.add(key);
    assert.equal(type === "counter", (name as string).endsWith("_total"), name);
  }
  return { values, counters, resource: new Map() };
}

interface JsonAttribute {
  key: string;
  value: { stringValue?: string };
}

interface JsonPoint {
  attributes?: JsonAttribute[];
  asInt?: string | number;
  asDouble?: number;
}

interface JsonMetric {
  name: string;
  sum?: { isMonotonic?: boolean; dataPoints: JsonPoint[] };
  gauge?: { dataPoints: JsonPoint[] };
}

/** Reads an `ExportMetricsServiceRequest` as JSON; histograms are left out. */
export function metricValues(request: unknown): MetricValues {
  const { resourceMetrics } = request as {
    resourceMetrics: {
      resource: { attributes: JsonAttribute[] };
      scopeMetrics: { scope: { name: string }; metrics: JsonMetric[] }[];
    }[];
  };
  assert.equal(resourceMetrics.length, 1);
  const [{ resource, scopeMetrics }] = resourceMetrics as [(typeof resourceMetrics)[0]];
  const values = new Map<string, number>();
  const counters = new Set<string>();
  for (const { name, sum, gauge } of scopeMetrics.flatMap((scope) => scope.metrics)) {
    for (const point of (sum ?? gauge)?.dataPoints ?? []) {
      const attributes = (point.attributes ?? [])
        .map(({ key, value }) => `${key}=${value.stringValue}`)
        .sort();
      const key = attributes.length === 0 ? name : `${name}{${attributes.join(",")}}`;
      values.set(key, Number(point.asInt ?? point.asDouble ?? 0));
      if (sum?.isMonotonic === true) counters.add(key);
    }
  }
  const named = resource.attributes.map(({ key, value }) => [key, value.stringValue ?? ""] as const);
  return { values, counters, resource: new Map(named) };
}
