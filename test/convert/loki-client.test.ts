import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import fc from "fast-check";
import { type LokiReadOptions, readLoki } from "../../src/convert/loki-client.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { type FakeEntry, type FakeLoki, startFakeLoki } from "./fake-loki.ts";

const START_NS = 1_737_890_000_000_000_000n;
const SECOND_NS = 1_000_000_000n;

/** `count` entries, `perTime` at each time, in two streams by turns. */
function entries(count: number, perTime = 1): FakeEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    timeNs: START_NS + BigInt(Math.floor(index / perTime)) * SECOND_NS,
    stream: { service_name: index % 2 === 0 ? "even" : "odd" },
    line: `line ${index}`,
  }));
}

function options(loki: FakeLoki, more: Partial<LokiReadOptions> = {}): LokiReadOptions {
  const endNs = START_NS + 1000n * SECOND_NS;
  return { url: loki.url, query: '{a="b"}', startNs: START_NS, endNs, retryInitialMs: 1, ...more };
}

/** Lines in the order in which they came. */
async function readLines(readOptions: LokiReadOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const items of readLoki(readOptions)) {
    for (const item of items) {
      assert.ok(item.kind === "request" && item.encoding === "loki");
      const { values } = JSON.parse(item.body.toString()) as { values: string[][] };
      lines.push(...values.map(([, line]) => line as string));
    }
  }
  return lines;
}

async function failure(readOptions: LokiReadOptions): Promise<RuntimeEvidenceError> {
  try {
    await readLines(readOptions);
  } catch (thrown) {
    assert.ok(thrown instanceof RuntimeEvidenceError, String(thrown));
    return thrown;
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}

function refuse(response: ServerResponse, status: number, text: string, headers = {}): true {
  response.writeHead(status, headers).end(text);
  return true;
}

describe("a live Loki", function () {
  this.timeout(10_000);
  let loki: FakeLoki | undefined;

  afterEach(async () => {
    await loki?.close();
    loki = undefined;
  });

  it("gives each entry once and in the order of time, whatever falls together and however pages cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 12 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        async (seconds, limit) => {
          const stored = seconds.map((second, index) => ({
            timeNs: START_NS + BigInt(second) * SECOND_NS,
            stream: { service_name: `s${index % 3}` },
            line: `${second} ${index}`,
          }));
          const fake = await startFakeLoki(stored);
          try {
            const lines = await readLines(options(fake, { limit }));
            assert.deepEqual([...lines].sort(), stored.map(({ line }) => line).sort());
            const times = lines.map((line) => Number.parseInt(line, 10));
            assert.deepEqual(
              times,
              [...times].sort((one, other) => one - other),
            );
          } finally {
            await fake.close();
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is asked with tenant, headers and labels apart", async () => {
    loki = await startFakeLoki(entries(1));
    const headers = new Map([["authorization", "Bearer secret-token"]]);
    await readLines(options({ ...loki, url: `${loki.url}/behind/a/proxy/` }, { tenant: "team-a", headers }));
    const [asked] = loki.queries;
    assert.ok(asked);
    assert.match(asked.request.url ?? "", /^\/behind\/a\/proxy\/loki\/api\/v1\/query_range\?/);
    assert.match(asked.request.url ?? "", /direction=forward/);
    assert.equal(asked.request.headers["x-scope-orgid"], "team-a");
    assert.equal(asked.request.headers.authorization, "Bearer secret-token");
    assert.equal(asked.request.headers["x-loki-response-encoding-flags"], "categorize-labels");
  });

  it("is asked for larger pages where one time has more than a page, up to what it gives", async () => {
    const refuseMany: Parameters<typeof startFakeLoki>[1] = ({ limit }, response) =>
      limit > 30 &&
      refuse(
        response,
        400,
        `max entries limit per query exceeded, limit > max_entries_limit_per_query (${limit} > 30)`,
      );
    loki = await startFakeLoki(entries(100, 25), refuseMany);
    assert.equal((await readLines(options(loki, { limit: 4 }))).length, 100);
    assert.equal((await readLines(options(loki, { limit: 1000 }))).length, 100);
    await loki.close();
    loki = await startFakeLoki(entries(100, 50), refuseMany);
    const error = await failure(options(loki, { limit: 4 }));
    assert.equal(error.code, "limit");
    assert.match(
      error.message,
      /more than 30 entries have the time 1737890000000000000.*max_entries_limit_per_query/,
    );
  });

  it("is read in shorter ranges where a range is too long", async () => {
    const reports: string[] = [];
    loki = await startFakeLoki(
      entries(500),
      ({ startNs, endNs }, response) =>
        endNs - startNs > 60n * SECOND_NS &&
        refuse(response, 400, "the query time range exceeds the limit (query length: 16m40s, limit: 1m0s)"),
    );
    const lines = await readLines(options(loki, { limit: 40, report: (line) => reports.push(line) }));
    assert.deepEqual(
      lines,
      entries(500).map(({ line }) => line),
    );
    assert.match(reports.at(-1) ?? "", /too long for one query of Loki: now 31 s at a time/);
  });

  it("is asked again when it is busy, and for less when it is late, breaks off or answers too much", async () => {
    const reports: string[] = [];
    loki = await startFakeLoki(entries(100), ({ limit }, response) => {
      const { length } = loki?.queries ?? [];
      if (length === 1) return refuse(response, 429, "too many outstanding requests", { "retry-after": "0" });
      if (length === 2) return refuse(response, 503, "");
      if (limit > 100) return true; // No answer at all.
      if (limit > 20) return response.destroy() !== undefined;
      return false;
    });
    const limits = { limit: 1000, timeoutMs: 300, report: (line: string) => reports.push(line) };
    assert.equal((await readLines(options(loki, limits))).length, 100);
    assert.match(
      reports[0] ?? "",
      /HTTP 429: too many outstanding requests; trying again in 0 ms, 1000 entries/,
    );
    assert.match(reports[2] ?? "", /no whole answer within 300 ms/);
    const limitsSeen = loki.queries.map(({ limit }) => limit);
    assert.deepEqual(limitsSeen.slice(0, 7), [1000, 1000, 1000, 250, 62, 15, 30]);
    await loki.close();
    loki = await startFakeLoki(entries(100));
    assert.equal((await readLines(options(loki, { answerBytesMax: 3000 }))).length, 100);
  });

  it("fails with a reason when it stays away", async () => {
    loki = await startFakeLoki([], (_, response) => refuse(response, 500, "out of cheese"));
    const error = await failure(options(loki, { triesMax: 3 }));
    assert.equal(error.code, "io");
    assert.equal(error.message, "Loki gave no logs in 3 tries (HTTP 500: out of cheese)");
    assert.equal(loki.queries.length, 3);
    await loki.close();
    const gone = await failure(options(loki, { triesMax: 2 }));
    assert.equal(gone.message, "Loki gave no logs in 2 tries (connection failed: ECONNREFUSED)");
  });

  it("is not asked again for what it refuses, and its text is shown without secrets, on one line, and cut", async () => {
    const headers = new Map([["authorization", "Bearer secret-token"]]);
    for (const { status, code, pattern } of [
      {
        status: 400,
        code: "usage",
        pattern: /^Loki refused the query: parse error \[redacted\] at line 1 x+…$/,
      },
      {
        status: 401,
        code: "not-permitted",
        pattern: /other credentials or another tenant \(HTTP 401: parse error/,
      },
      { status: 404, code: "not-found", pattern: /without \/loki\/api\/v1/ },
      { status: 302, code: "usage", pattern: /redirects \(HTTP 302\)/ },
      { status: 418, code: "io", pattern: /HTTP 418/ },
    ]) {
      loki = await startFakeLoki([], (_, response) =>
        refuse(response, status, `parse error secret-token\n\u001b at line 1 ${"x".repeat(10_000)}`, {
          location: "http://127.0.0.1:1/",
        }),
      );
      const error = await failure(options(loki, { headers }));
      assert.equal(error.code, code);
      assert.match(error.message, pattern);
      assert.doesNotMatch(error.message, /secret-token|[\u0000-\u001f]/);
      assert.ok(error.message.length < 420);
      assert.equal(loki.queries.length, 1);
      await loki.close();
    }
  });

  it("comes as Loki wrote it: names with escapes, digits, bytes", async () => {
    // V8 reads the second name of the second object as a backslash (nodejs/node issue 63785).
    const metadata = [
      String.raw`{"a":"0","\\":"0"}`,
      String.raw`{"a":"0","\"":"0"}`,
      '{"n":12345678901234567890,"n":-0.0}',
      '"\xff"',
    ];
    const values = metadata.map(
      (own, index) => `["${START_NS + BigInt(index)}","l",{"structuredMetadata":${own}}]`,
    );
    const stream = '{"s": "1"}';
    const result = `[{"stream":${stream} , "values":[${values.join(" , ")}]}]`;
    const answer = `{"status":"success","data":{"resultType":"streams","result":${result}}}`;
    loki = await startFakeLoki([], (_, response) => {
      response.end(Buffer.from(answer, "latin1"));
      return true;
    });
    const bodies: string[] = [];
    for await (const items of readLoki(options(loki))) {
      for (const item of items) if (item.kind === "request") bodies.push(item.body.toString("latin1"));
    }
    assert.deepEqual(bodies, [`{"stream":${stream},"values":[${values.join(",")}]}`]);
  });

  it("is told from something else, and numbers from log lines", async () => {
    const matrix = '{"status":"success","data":{"resultType":"matrix","result":[]}}';
    for (const { body, code, pattern } of [
      { body: "<html>", code: "bad-input", pattern: /it is no JSON object/ },
      { body: "[]", code: "bad-input", pattern: /no JSON object/ },
      { body: "{}", code: "bad-input", pattern: /no streams/ },
      { body: matrix, code: "usage", pattern: /gives numbers/ },
      {
        body: matrix.replace("matrix", "streams").replace("[]", "[{}]"),
        code: "bad-input",
        pattern: /no labels/,
      },
    ]) {
      loki = await startFakeLoki([], (_, response) => refuse(response, 200, body));
      const error = await failure(options(loki));
      assert.equal(error.code, code);
      assert.match(error.message, pattern);
      await loki.close();
    }
    for (const url of ["localhost:3100", "ftp://loki", "http://user:secret@loki"]) {
      const error = await failure({ ...options(loki as FakeLoki), url });
      assert.equal(error.code, "usage");
      assert.doesNotMatch(error.message, /secret/);
    }
  });

  it("can be left at any time", async () => {
    const controller = new AbortController();
    loki = await startFakeLoki([], () => {
      setTimeout(() => controller.abort(new Error("enough")), 20);
      return true;
    });
    await assert.rejects(readLines(options(loki, { signal: controller.signal })), /enough/);
  });
});
