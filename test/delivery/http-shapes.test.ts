/** Every status of the table as the sender meets it, without sockets. */
import assert from "node:assert/strict";
import type nockModule from "nock";
import { createSender } from "../../src/delivery/create-sender.ts";
import { readOtlpOptions } from "../../src/delivery/otlp-environment.ts";
import { sealed } from "./sealed.ts";

const never = new AbortController().signal;
const collector = "http://collector.test:4318";

describe("the HTTP sender, status by status", () => {
  let nock: typeof nockModule;
  // nock takes over the sockets of the whole process as soon as it is imported, gRPC's too.
  before(async () => {
    nock = (await import("nock")).default;
    if (!nock.isActive()) nock.activate();
    nock.disableNetConnect();
  });
  after(() => {
    nock.cleanAll();
    nock.enableNetConnect();
    nock.restore();
  });

  async function send(reply: (post: nockModule.Interceptor) => nockModule.Scope) {
    const scope = reply(nock(collector).post("/base/v1/logs"));
    const { options } = readOtlpOptions({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector}/base/` });
    const sender = createSender(options);
    const outcome = await sender.send(sealed(20), never);
    await sender.close();
    scope.done();
    return outcome;
  }

  const retryable = [429, 502, 503, 504];
  for (const status of [
    300, 301, 400, 401, 403, 404, 405, 408, 413, 415, 421, 429, 431, 500, 501, 502, 503, 504,
  ]) {
    const expected = retryable.includes(status) ? "retryable" : status === 413 ? "too-large" : "permanent";
    it(`${status} is ${expected}`, async () => {
      const outcome = await send((post) => post.reply(status, { code: 2, message: "why" }));
      assert.equal(outcome.kind, expected);
      assert.equal("reason" in outcome && outcome.reason, `http ${status}`);
    });
  }

  for (const code of ["ECONNRESET", "ENOTFOUND", "EPIPE", "EHOSTUNREACH"]) {
    it(`a connection that fails with ${code} is retryable`, async () => {
      const outcome = await send((post) => post.replyWithError(Object.assign(new Error("no"), { code })));
      assert.equal(outcome.kind === "retryable" && outcome.reason, `connection ${code}`);
    });
  }
});
