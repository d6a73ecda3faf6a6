import assert from "node:assert/strict";
import { type Context, type ContextManager, context, ROOT_CONTEXT } from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { BatchLogRecordProcessor, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { ACCEPTED } from "../delivery/sealed.ts";
import { assertBooks, bodies, DOWN, logs, numbers, resource, start } from "./exporter-under-test.ts";

describe("the evidence log exporter under a processor", () => {
  for (const successWhen of ["queued", "acknowledged"] as const) {
    it(`delivers what a BatchLogRecordProcessor takes, through an outage, success when ${successWhen}`, async () => {
      let failures = 5;
      const { exporter, sender } = start(async () => (failures-- > 0 ? DOWN : ACCEPTED), {
        successWhen,
        flushTimeoutMs: 5000,
      });
      const processor = new BatchLogRecordProcessor({ exporter, maxExportBatchSize: 100 });
      const provider = new LoggerProvider({ resource, processors: [processor] });
      const logger = provider.getLogger("app");
      for (const body of numbers(1000)) logger.emit({ body });
      await provider.forceFlush();
      assert.equal(exporter.counters().recordsAccepted, 1000);
      for (const body of numbers(50, 1000)) logger.emit({ body });
      await provider.shutdown();
      assert.equal(exporter.counters().recordsAccepted, 1050);
      assert.deepEqual(new Set(bodies(sender.sent)), new Set(numbers(1050)));
      assertBooks(exporter);
    });
  }

  it("takes a burst of single records from a SimpleLogRecordProcessor, in few requests", async () => {
    const { exporter, sender } = start(async () => ACCEPTED);
    const provider = new LoggerProvider({
      resource,
      processors: [new SimpleLogRecordProcessor({ exporter })],
    });
    for (const body of numbers(5000)) provider.getLogger("app").emit({ body });
    await exporter.forceFlush();
    assert.equal(exporter.counters().recordsAccepted, 5000);
    assert.ok(sender.sent.length <= 5, `${sender.sent.length} requests`);
    await provider.shutdown();
  });

  it("makes no spans of its own requests, even when tracing starts after it", async () => {
    const suppressed: boolean[] = [];
    const { exporter, give } = start(async () => {
      suppressed.push(isTracingSuppressed(context.active()));
      return ACCEPTED;
    });
    const manager = new StackContextManager();
    assert.ok(context.setGlobalContextManager(manager));
    try {
      await give(logs(1));
      await exporter.forceFlush();
      await exporter.shutdown();
    } finally {
      context.disable();
    }
    assert.deepEqual(suppressed, [true]);
  });
});

/** Contexts of synchronous calls, which is all that is asked for here. */
class StackContextManager implements ContextManager {
  #active: Context = ROOT_CONTEXT;

  active(): Context {
    return this.#active;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    inner: Context,
    run: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    const outer = this.#active;
    this.#active = inner;
    try {
      return run.call(self as ThisParameterType<F>, ...args);
    } finally {
      this.#active = outer;
    }
  }

  bind<T>(_: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#active = ROOT_CONTEXT;
    return this;
  }
}
