import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExportResultCode } from "@opentelemetry/core";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { openEvidenceLogExporter } from "../../src/sdk/evidence-log-exporter.ts";
import { closedPort, httpServer } from "../delivery/servers.ts";
import { assertBooks, logs, numbers } from "./exporter-under-test.ts";

describe("the evidence log exporter over a spool", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-sdk-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (port: number, onLoss: () => void = assert.fail) =>
    openEvidenceLogExporter({
      endpoint: `http://127.0.0.1:${port}`,
      environment: {},
      spool: { directory: join(directory, "spool"), fsync: "never" },
      shutdownTimeoutMs: 300,
      report: () => {},
      onLoss,
    });

  it("delivers what an earlier one had to leave, then its own, and counts only its own", async () => {
    const away = await open(await closedPort());
    const { code } = await new Promise<{ code: ExportResultCode }>((done) => away.export(logs(10), done));
    assert.equal(code, ExportResultCode.SUCCESS);
    await away.shutdown();
    const { recordsSpooled, recordsPending, recordsLost } = away.counters();
    assert.deepEqual([recordsSpooled, recordsPending, recordsLost.size], [10, 0, 0]);
    assertBooks(away);

    const arrived: string[] = [];
    const server = await httpServer(async (request, response) => {
      const body: Buffer[] = [];
      for await (const chunk of request) body.push(chunk as Buffer);
      for (const record of decodeRequest(Buffer.concat(body))) arrived.push(String(record.body));
      response.end();
    });
    try {
      const back = await open(server.port);
      await new Promise((done) => back.export(logs(5, 10), done));
      await back.forceFlush();
      await back.shutdown();
      assert.deepEqual(arrived.sort(), numbers(15).sort());
      assert.deepEqual([back.counters().recordsAccepted, back.counters().recordsSpooled], [5, 0]);
      assertBooks(back);
    } finally {
      await server.close();
    }
  });

  it("is refused a spool that another one uses", async () => {
    const port = await closedPort();
    const first = await open(port);
    await assert.rejects(open(port), { code: "limit" });
    await first.shutdown();
  });
});
