import assert from "node:assert/strict";
import { createFrameContext } from "../../src/frames/context.ts";
import { StackSymbols } from "../../src/frames/stack-symbols.ts";
import { toRecord } from "../../src/frames/to-record.ts";
import { functionCallFrame, symbolFrame } from "./build-frame.ts";

const STARTED = { pid: 4711, startBootNs: 7_000_000_000_000n };
const AT = [0x40_1000n, 0x7fff_ffff_f000n];

function take(symbols: StackSymbols, frame: Buffer): void {
  assert.equal(symbols.take(frame, 0), undefined);
}

describe("symbols of stacks", () => {
  it("stand beside the stack, one for each address, and never in the record", () => {
    const context = createFrameContext("boot");
    const frame = functionCallFrame({ ...STARTED, stack: AT });
    const without = toRecord("function_call", frame, 0, context);
    take(
      context.stackSymbols,
      symbolFrame({ ...STARTED, address: 0x7fff_ffff_f000n, text: "JS:*f\u00fc /a.js:1" }),
    );
    const { record, extensions } = toRecord("function_call", frame, 0, context);
    assert.deepEqual(extensions.stackSymbols, ["", "JS:*f\u00fc /a.js:1"]);
    assert.deepEqual(record, without.record);
    assert.deepEqual(without.extensions, {});
  });

  it("are absent where no address has one, or there is no stack", () => {
    const context = createFrameContext("boot");
    take(context.stackSymbols, symbolFrame({ ...STARTED }));
    for (const stack of [[1n], []]) {
      const frame = functionCallFrame({ ...STARTED, stack });
      assert.deepEqual(toRecord("function_call", frame, 0, context).extensions, {});
    }
  });

  it("belong to one process image", () => {
    const symbols = new StackSymbols();
    take(symbols, symbolFrame(STARTED));
    const later = functionCallFrame({ ...STARTED, startBootNs: 8n });
    assert.equal(symbols.knows(later, 0), false);
    assert.equal(symbols.of(later, 0, ["0x401000"]), undefined);
    const same = functionCallFrame(STARTED);
    assert.deepEqual(symbols.of(same, 0, ["0x401000"]), ["main+0x1c (app)"]);
    symbols.forget(same, 0);
    assert.equal(symbols.knows(same, 0), false);
  });

  it("are bounded, and the last ones said are known", () => {
    const symbols = new StackSymbols(10);
    for (let index = 1; index <= 1000; index++) {
      take(symbols, symbolFrame({ pid: (index % 7) + 1, address: BigInt(index), text: `f${index}` }));
      const from = Math.max(1, index - 9);
      for (let said = from; said <= index; said++) {
        const frame = functionCallFrame({ pid: (said % 7) + 1 });
        assert.deepEqual(symbols.of(frame, 0, [`0x${said.toString(16)}`]), [`f${said}`]);
      }
    }
    assert.equal(symbols.of(functionCallFrame({ pid: (1 % 7) + 1 }), 0, ["0x1"]), undefined);
  });

  it("that contradict themselves are refused with a reason", () => {
    const symbols = new StackSymbols();
    const long = symbolFrame(STARTED);
    long.writeUInt16LE(60_000, 64 + 8);
    assert.match(symbols.take(long, 0) ?? "", /does not fit/);
    const short = symbolFrame(STARTED);
    short.writeUInt32LE(72, 0);
    assert.match(symbols.take(short, 0) ?? "", /too short/);
    assert.equal(symbols.knows(functionCallFrame(STARTED), 0), false);
  });
});
