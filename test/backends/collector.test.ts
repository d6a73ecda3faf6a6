import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { collectStored } from "../convert/collect.ts";
import { skip } from "../skip.ts";
import { collectorMissing, type StartedCollector, startCollector } from "./collector.ts";

const REQUEST = {
  resourceLogs: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "collector-test" } }] },
      scopeLogs: [
        {
          scope: { name: "test" },
          logRecords: [
            {
              timeUnixNano: "1700000000123456789",
              eventName: "runtime_evidence.file_open",
              body: { stringValue: "opened /etc/hostname" },
              attributes: [{ key: "big", value: { intValue: "9223372036854775807" } }],
            },
          ],
        },
      ],
    },
  ],
};

async function post(collector: StartedCollector): Promise<Response> {
  return await fetch(`${collector.httpEndpoint}/v1/logs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(REQUEST),
    signal: AbortSignal.timeout(5_000),
  });
}

describe("real Collector", function () {
  this.timeout(40_000);
  let collector: StartedCollector | undefined;

  before(function () {
    const reason = collectorMissing();
    if (reason !== undefined) skip(this, reason);
  });

  afterEach(async () => {
    await collector?.remove();
    collector = undefined;
  });

  it("otel-config/collector-file.yaml stores what it acknowledged as JSON lines and framed protobuf", async () => {
    collector = await startCollector({ config: "file" });
    for (let count = 0; count < 3; count++) {
      const response = await post(collector);
      assert.equal(response.status, 200, await response.text());
    }
    assert.deepEqual(await collector.stop(), { code: 0, signal: null });

    const json = await collectStored(collector.jsonPath);
    assert.deepEqual(
      json.map((item) => [item.kind, item.line]),
      [
        ["request", 1],
        ["request", 2],
        ["request", 3],
      ],
    );
    for (const item of json) {
      assert.ok(item.kind === "request" && item.encoding === "json");
      const stored = JSON.parse(item.body.toString("utf8"));
      const record = stored.resourceLogs[0].scopeLogs[0].logRecords[0];
      assert.deepEqual(record, REQUEST.resourceLogs[0]?.scopeLogs[0]?.logRecords[0]);
    }

    const proto = await collectStored(collector.protoPath);
    assert.equal(proto.length, 3);
    for (const item of proto) {
      assert.ok(item.kind === "request" && item.encoding === "protobuf");
      assert.ok(item.body.includes("opened /etc/hostname"));
      assert.ok(item.body.includes("runtime_evidence.file_open"));
    }
  });

  it("otel-config/collector-file.yaml has what it acknowledged when it is killed the moment after, and when it starts again", async () => {
    collector = await startCollector({ config: "file" });
    const { directory, jsonPath, protoPath } = collector;
    for (const count of [1, 2]) {
      const response = await post(collector);
      assert.equal(response.status, 200, await response.text());
      await collector.kill();
      for (const path of [jsonPath, protoPath]) {
        const stored = await collectStored(path);
        assert.deepEqual(
          stored.map(({ kind }) => kind),
          Array(count).fill("request"),
        );
      }
      collector = await startCollector({ config: "file", directory });
    }
  });

  it("otel-config/collector-debug.yaml prints each record", async () => {
    collector = await startCollector({ config: "debug" });
    const response = await post(collector);
    assert.equal(response.status, 200, await response.text());
    const deadline = performance.now() + 10_000;
    while (!collector.output().stderr.includes("opened /etc/hostname")) {
      assert.ok(performance.now() < deadline, collector.output().stderr);
      await delay(20);
    }
    assert.match(collector.output().stderr, /EventName: runtime_evidence\.file_open/);
  });

  it("takes requests and throws them away for benchmarks", async () => {
    collector = await startCollector({ config: "nop" });
    const response = await post(collector);
    assert.equal(response.status, 200, await response.text());
    assert.deepEqual(await collector.stop(), { code: 0, signal: null });
  });
});
