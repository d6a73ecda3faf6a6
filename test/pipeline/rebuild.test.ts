/** Each record is written once, however often it was sent; and what is not written does not count as seen. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import type { LineWriter } from "../../src/pipeline/line-writer.ts";
import { Rebuilder } from "../../src/pipeline/rebuild.ts";

const resources = createResourceSource({ "service.name": "rebuild-test" });

function recordOf(path: string): EvidenceRecord {
  return { ts_ns: 1, src: "x", pid: 1, comm: "c", event: { type: "file_open", path } };
}

/** One request with a record of each uid; a record of "bad" is no valid v1. */
function requestOf(uids: readonly { stream: string; sequence: number; bad?: boolean }[]): Buffer {
  const builder = new RequestBuilder();
  for (const { stream, sequence, bad } of uids) {
    const record = recordOf(`${stream}/${sequence}`);
    encodeRecord(builder, bad ? { ...record, pid: 0 } : record, {
      resources,
      timeUnixNano: 1n,
      observedTimeUnixNano: 1n,
      streamId: stream,
      sequence,
    });
  }
  return builder.seal().body;
}

function rebuilder(options: { keepDuplicates?: boolean; withExtensions?: boolean } = {}) {
  const lines: string[] = [];
  const output: LineWriter = {
    line: (text) => lines.push(text),
    bytes: () => assert.fail("lines only"),
    ready: () => Promise.resolve(),
    failed: () => false,
    close: () => Promise.resolve(),
  };
  const built = new Rebuilder({
    output,
    withExtensions: options.withExtensions ?? false,
    keepDuplicates: options.keepDuplicates ?? false,
    onInvalid: () => {},
  });
  return { rebuilder: built, lines, paths: () => lines.map((line) => JSON.parse(line).event.path as string) };
}

describe("rebuilding", () => {
  it("drops what was written before, whatever request and encoding it comes in, in order", () => {
    const one = fc.record({ stream: fc.constantFrom("a", "b"), sequence: fc.nat({ max: 8 }) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(one, { minLength: 1 }), fc.boolean())), (requests) => {
        const { rebuilder: built, paths } = rebuilder();
        for (const [uids, json] of requests) {
          const body = requestOf(uids);
          if (json) built.take("json", Buffer.from(requestToJson(body)));
          else built.take("protobuf", body);
        }
        const sent = requests.flatMap(([uids]) =>
          uids.map(({ stream, sequence }) => `${stream}/${sequence}`),
        );
        const once = [...new Set(sent)];
        assert.deepEqual(paths(), once);
        assert.deepEqual(
          { ...built.counts },
          { written: once.length, duplicates: sent.length - once.length, foreign: 0, control: 0, invalid: 0 },
        );
        assert.equal(built.forgotten, 0);
      }),
      { numRuns: 25 },
    );
  });

  it("keeps them when asked to", () => {
    const { rebuilder: built, paths } = rebuilder({ keepDuplicates: true });
    const body = requestOf([{ stream: "a", sequence: 1 }]);
    built.take("protobuf", body);
    built.take("protobuf", body);
    assert.deepEqual(paths(), ["a/1", "a/1"]);
  });

  it("puts extensions into no member that the record has itself", () => {
    const { rebuilder: built, lines } = rebuilder({ withExtensions: true });
    const builder = new RequestBuilder();
    const own = { ...recordOf("/own"), extensions: { mine: 1 } };
    for (const [index, record] of [own, recordOf("/none")].entries()) {
      const meta = {
        resources,
        timeUnixNano: 1n,
        observedTimeUnixNano: 1n,
        streamId: "s",
        sequence: index + 1,
      };
      encodeRecord(builder, record, { ...meta, extensions: { truncated: true } });
    }
    built.take("protobuf", builder.seal().body);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).extensions),
      [{ mine: 1 }, { truncated: true }],
    );
  });

  it("writes a sound copy of what came damaged first", () => {
    const { rebuilder: built, paths } = rebuilder();
    assert.equal(built.take("protobuf", requestOf([{ stream: "a", sequence: 1, bad: true }])), 1);
    assert.equal(built.take("protobuf", requestOf([{ stream: "a", sequence: 1 }])), 0);
    assert.deepEqual(paths(), ["a/1"]);
    assert.deepEqual({ ...built.counts }, { written: 1, duplicates: 0, foreign: 0, control: 0, invalid: 1 });
  });
});
