import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { RecordShapes } from "../../src/evidence/record-shapes.ts";
import { spellingChoices, spellJson } from "./json-spelling.ts";
import { anyEvidenceRecord } from "./record-arbitrary.ts";

const generally = (text: Buffer): JsonValue | undefined => {
  try {
    return parseEvidenceJson(text.toString());
  } catch {
    return undefined;
  }
};

/** Reads as the exporter does: what has no shape yet is read by the general reader, and learnt. */
function readAll(shapes: RecordShapes, texts: readonly string[]): number {
  let expected = 0;
  for (const text of texts) {
    const bytes = Buffer.from(text);
    const value = shapes.read(bytes);
    const exact = generally(bytes);
    if (value === undefined) {
      if (exact !== undefined) shapes.learn(text);
      continue;
    }
    assert.deepStrictEqual(value, exact, text);
    expected++;
  }
  return expected;
}

/** Collects garbage at once, so that what is left is kept. */
function exposedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

const twice = (texts: readonly string[]) => [...texts, ...texts, ...texts];

describe("a record of a shape that is known", () => {
  it("is read exactly, whatever its members and its spelling are", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyEvidenceRecord, spellingChoices), { minLength: 1 }), (spelt) => {
        const shapes = new RecordShapes();
        readAll(shapes, twice(spelt.map(([record]) => stringifyEvidence(record as unknown as JsonValue))));
        readAll(
          shapes,
          twice(spelt.map(([record, choices]) => spellJson(record as unknown as JsonValue, choices))),
        );
      }),
      { numRuns: 300 },
    );
  }).timeout(60_000);

  it("is never made of text that is damaged", () => {
    const pieces = fc.constantFrom(
      "",
      '"',
      "{",
      "}",
      ",",
      "0",
      "-",
      "1e3",
      '"pid":1',
      "\\",
      " ",
      "\n",
      "é",
      "}}",
    );
    const damage = fc.tuple(fc.nat(), fc.nat(3), pieces);
    fc.assert(
      fc.property(fc.array(fc.tuple(anyEvidenceRecord, damage), { minLength: 1 }), (records) => {
        const shapes = new RecordShapes();
        const texts = records.map(([record]) => stringifyEvidence(record as unknown as JsonValue));
        readAll(shapes, twice(texts));
        const damaged = records.map(([, [place, length, piece]], index) => {
          const text = texts[index] as string;
          const start = place % (text.length + 1);
          return text.slice(0, start) + piece + text.slice(start + length);
        });
        readAll(shapes, twice(damaged));
      }),
      { numRuns: 500 },
    );
  }).timeout(60_000);

  it("is found again for every type of event, stacks included", () => {
    const record = (event: Partial<EvidenceRecord["event"]>, index: number) =>
      stringifyEvidence({
        ts_ns: 1_737_890_000_123_456_789n + BigInt(index),
        src: "p",
        pid: index + 1,
        comm: "c",
        event,
      });
    const events = [
      { type: "file_open", path: "/a", flags: -5 },
      { type: "net_connect", addr: "::1", port: 1, success: true },
      { type: "function_call", addr: "0x1", stack: ["0x1", "0x2"] },
    ] as const;
    const texts = Array.from({ length: 30 }, (_, index) => record(events[index % 3] ?? {}, index));
    assert.equal(readAll(new RecordShapes(), texts), 27);
  });

  it("never has a member twice", () => {
    const shapes = new RecordShapes();
    const texts = ['{"a":1,"b":2}', '{"b":2,"a":1}', '{"b":1,"c":{"b":2}}', '{"a":1}'];
    assert.equal(readAll(shapes, twice(texts)), 8);
    for (const text of [
      '{"a":1,"b":2,"a":1}',
      '{"b":1,"c":{"b":2,"b":2}}',
      '{"a":1,"a":1}',
      '{"b":2,"b":2}',
    ]) {
      assert.equal(shapes.read(Buffer.from(text)), undefined, text);
    }
  });

  it("is not read beyond its end", () => {
    const shapes = new RecordShapes();
    readAll(shapes, twice(['{"a":"x","b":12}']));
    const more = Buffer.from('{"a":"x","b":12}');
    for (let end = 0; end < more.length; end++) assert.equal(shapes.read(more.subarray(0, end)), undefined);
    assert.deepEqual(shapes.read(more.subarray(0)), { a: "x", b: 12 });
  });

  it("is left to the general reader where it is no object", () => {
    const shapes = new RecordShapes();
    assert.equal(readAll(shapes, twice(["[]", '"x"', "1", "null", " [{}]", "{}", '{"a":{}}'])), 0);
  });

  it("is found again when a value is how the one before began, and with white space or without", () => {
    const pids = ["12", "12", "123", "12", "1", "1", "1", "10"].map((pid) => `{"a":true,"pid":${pid}}`);
    assert.equal(readAll(new RecordShapes(), pids), pids.length - 1);
    const spelt = ['{"a":1,"b":"x"}', '{"a": 1,"b":\t"x"}', '{"a":1,"b":"x"}\r', '{"a":\n1,"b":"x"} '];
    assert.equal(readAll(new RecordShapes(), [...spelt, ...spelt]), 7);
    assert.equal(new RecordShapes().read(Buffer.from(" ")), undefined);
  });

  it("keeps nothing of long values", () => {
    const gc = exposedGc();
    const shapes = new RecordShapes();
    const texts = (value: string) =>
      Array.from({ length: 30 }, (_, index) => `{"a${index}":1,"b":"${value}${index}"}`);
    readAll(shapes, texts("x"));
    const usedBytes = () => {
      gc();
      gc();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + external - arrayBuffers;
    };
    const before = usedBytes();
    const read = (value: string) =>
      texts(value).filter((text) => shapes.read(Buffer.from(text)) !== undefined).length;
    assert.equal(read("x".repeat(2_000_000)), 30);
    const keptBytes = usedBytes() - before;
    assert.ok(keptBytes < 25_000_000, `${keptBytes} bytes of 30 values of 2 MB`);
    assert.equal(readAll(shapes, texts("x")), 30);
  });

  it("is learnt seldom where records never look alike, and soon again where they do", () => {
    const shapes = new RecordShapes();
    const strange = Array.from({ length: 2000 }, (_, index) => `{"member${index}":1}`);
    readAll(shapes, strange);
    assert.ok(readAll(shapes, strange.slice(-64)) <= 4);
    const usual = Array.from({ length: 40 }, (_, index) => `{"pid":${index}}`);
    assert.ok(readAll(shapes, usual) >= 24);
  });

  it("takes no more room than is given to all shapes together", () => {
    const shapes = new RecordShapes();
    // Each so often that it can be learnt.
    const often = (texts: readonly string[]) => texts.flatMap((text) => new Array(16).fill(text));
    const texts = Array.from({ length: 1500 }, (_, index) => `{"member${index % 20}":1,"other${index}":2}`);
    readAll(shapes, often(texts));
    // Those learnt last are still known, those at first are not.
    assert.deepEqual(shapes.read(Buffer.from(texts.at(-1) as string)), { member19: 1, other1499: 2 });
    assert.equal(shapes.read(Buffer.from(texts[0] as string)), undefined);
    const beginnings = Array.from({ length: 50 }, (_, index) => `{"member${index}":1}`);
    readAll(shapes, often(beginnings));
    const known = beginnings.filter((text) => shapes.read(Buffer.from(text)) !== undefined);
    assert.ok(known.length > 0 && known.length < 33, `${known.length}`);
  });
});
