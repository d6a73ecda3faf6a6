/** Loss and stream records say the same when they come back, are no evidence, and make sense or are refused. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { AttributeMap } from "../../src/otlp/any-value.ts";
import { ATTR_RUNTIME_EVIDENCE_LOSS_SEQUENCES } from "../../src/otlp/attributes.gen.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeLoki } from "../../src/otlp/decode-loki.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";
import { encodeRecord } from "../../src/otlp/encode-record.ts";
import { lokiLabelName } from "../../src/otlp/loki-labels.ts";
import { encodeLossRecord, type LossRecord, lossFields } from "../../src/otlp/loss-record.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { requestToJson } from "../../src/otlp/request-json.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { encodeStreamRecord, type StreamRecord, streamFields } from "../../src/otlp/stream-record.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";

const resources = createResourceSource({ "service.name": "control-test" });
const context = {
  resource: resources.resourceFor(undefined, undefined),
  observedTimeUnixNano: 7n,
  streamId: "writer",
  sequence: 2 ** 53 - 1,
};

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/);
const streamId = fc.stringMatching(/^[\x21-\x7e]{1,64}$/);
const sequence = fc.maxSafeInteger().map((value) => Math.abs(value));
const lostSequences = fc.tuple(sequence, sequence, fc.nat()).map(([a, b, pick]) => {
  const [first, last] = [Math.max(1, Math.min(a, b)), Math.max(1, a, b)];
  return { first, last, count: 1 + (pick % (last - first + 1)) };
});

const plain = { noNullPrototype: true } as const;

const lossRecords: fc.Arbitrary<LossRecord> = fc.record(
  {
    streamId,
    lossId: sequence,
    reason: name,
    probe: name,
    count: u64,
    firstTimeUnixNano: u64,
    lastTimeUnixNano: u64,
    sequences: fc.array(lostSequences, { maxLength: 40 }),
  },
  plain,
);

const streamRecords: fc.Arbitrary<StreamRecord> = fc.record(
  {
    streamId,
    state: fc.constantFrom("start", "end", "unended"),
    lastSequence: sequence,
    counts: fc.array(
      fc.record(
        {
          probe: name,
          seen: u64,
          recorded: u64,
          filtered: u64,
          lost: fc.array(fc.tuple(name, u64), { maxLength: 5 }).map((pairs) => new Map(pairs)),
        },
        plain,
      ),
      { maxLength: 7 },
    ),
    timeUnixNano: u64,
  },
  { ...plain, requiredKeys: ["streamId", "state", "counts", "timeUnixNano"] },
);

function request(write: (builder: RequestBuilder) => void): Buffer {
  const builder = new RequestBuilder();
  write(builder);
  return builder.seal().body;
}

const both = (body: Buffer): DecodedLogRecord[] => [
  ...decodeRequest(body),
  ...decodeJson(requestToJson(body)),
];

/** As Loki keeps attributes: all text, and no event name. */
function asText({ attributes, ...rest }: DecodedLogRecord): DecodedLogRecord {
  const texts = Array.from(attributes, ([key, value]): [string, string] => [
    key,
    typeof value === "object" ? JSON.stringify(value) : String(value),
  ]);
  return { ...rest, attributes: new Map(texts) as AttributeMap, eventName: "" };
}

/** What a query of Loki gives back: labels and a line. */
function throughLoki({ attributes, timeUnixNano }: DecodedLogRecord): DecodedLogRecord | undefined {
  const labels = Array.from(attributes, ([key, value]) => [
    lokiLabelName(key),
    typeof value === "object" ? JSON.stringify(value) : String(value),
  ]);
  const values = [[String(timeUnixNano), "line", { structuredMetadata: Object.fromEntries(labels) }]];
  return decodeLoki(JSON.stringify({ stream: { service_name: "x" }, values }))[0];
}

describe("control records", () => {
  it("come back from Loki as they were", () => {
    fc.assert(
      fc.property(lossRecords, streamRecords, (loss, stream) => {
        const body = request((builder) => {
          encodeLossRecord(builder, loss, context);
          encodeStreamRecord(builder, stream, context);
        });
        const uid = "writer-9007199254740991";
        assert.deepEqual(
          decodeRequest(body).map((decoded) => toEvidence(throughLoki(decoded) as DecodedLogRecord)),
          [
            { kind: "control", event: "loss", loss, uid },
            { kind: "control", event: "stream", stream, uid },
          ],
        );
      }),
    );
  });

  it("of loss come back as they were, through protobuf, JSON and a backend that keeps text", () => {
    fc.assert(
      fc.property(lossRecords, (loss) => {
        for (const decoded of both(request((builder) => encodeLossRecord(builder, loss, context)))) {
          assert.equal(decoded.severityNumber, 13);
          assert.equal(decoded.timeUnixNano, loss.lastTimeUnixNano);
          assert.equal(decoded.observedTimeUnixNano, 7n);
          const expected = { kind: "control", event: "loss", loss, uid: "writer-9007199254740991" };
          assert.deepEqual(toEvidence(decoded), expected);
          assert.deepEqual(toEvidence(asText(decoded)), expected);
        }
      }),
    );
  });

  it("of a stream come back as they were, through protobuf, JSON and a backend that keeps text", () => {
    fc.assert(
      fc.property(streamRecords, (stream) => {
        for (const decoded of both(request((builder) => encodeStreamRecord(builder, stream, context)))) {
          assert.equal(decoded.severityNumber, stream.state === "unended" ? 13 : 9);
          const expected = { kind: "control", event: "stream", stream, uid: "writer-9007199254740991" };
          assert.deepEqual(toEvidence(decoded), expected);
          assert.deepEqual(toEvidence(asText(decoded)), expected);
        }
      }),
    );
  });

  it("stand among evidence in one request, and each is what it is", () => {
    const evidence = (builder: RequestBuilder, number: number) =>
      encodeRecord(
        builder,
        { ts_ns: 1, src: "x", pid: 1, comm: "c", event: { type: "file_open", path: "/a" } },
        {
          resources,
          timeUnixNano: 1n,
          observedTimeUnixNano: 1n,
          streamId: "writer",
          sequence: number,
        },
      );
    const loss: LossRecord = {
      streamId: "writer",
      lossId: 1,
      reason: "queue_full",
      probe: "file_open",
      count: 3n,
      firstTimeUnixNano: 1n,
      lastTimeUnixNano: 2n,
      sequences: [{ first: 5, last: 9, count: 3 }],
    };
    const body = request((builder) => {
      evidence(builder, 1);
      const before = builder.byteLength;
      encodeLossRecord(builder, loss, { ...context, sequence: 2 });
      assert.ok(builder.byteLength > before);
      evidence(builder, 3);
      assert.equal(builder.recordCount, 3);
    });
    const kinds = both(body).map((decoded) => toEvidence(decoded).kind);
    assert.deepEqual(kinds, ["evidence", "control", "evidence", "evidence", "control", "evidence"]);
    const [, decoded] = decodeRequest(body);
    assert.equal(decoded?.body, "runtime_evidence.loss 3 file_open (queue_full)");
    assert.deepEqual(decoded?.attributes.get(ATTR_RUNTIME_EVIDENCE_LOSS_SEQUENCES), ["5-9:3"]);
  });

  it("that make no sense are invalid, with a reason of one line", () => {
    const [loss] = decodeRequest(
      request((builder) =>
        encodeLossRecord(
          builder,
          {
            streamId: "s",
            lossId: 1,
            reason: "ring_full",
            probe: "file_open",
            count: 1n,
            firstTimeUnixNano: 1n,
            lastTimeUnixNano: 1n,
            sequences: [],
          },
          context,
        ),
      ),
    );
    const keys = Object.fromEntries(
      [...lossFields, ...streamFields].map(({ member, key }) => [member, key as string]),
    );
    for (const [member, value] of [
      ["streamId", ""],
      ["streamId", "a\nb"],
      ["streamId", "x".repeat(65)],
      ["reason", "Ring Full"],
      ["probe", 7],
      ["count", -1],
      ["count", 2n ** 64n],
      ["count", "many"],
      ["lossId", 2n ** 53n],
      ["sequences", "1-2:3"],
      ["sequences", ["0-2:1"]],
      ["sequences", ["3-2:1"]],
      ["sequences", ["1-2:3"]],
      ["sequences", ["1-99999999999999999:1"]],
      ["sequences", Array.from({ length: 2000 }, () => "1-1:1")],
    ] as const) {
      const attributes = new Map([
        ...(loss?.attributes ?? []),
        [keys[member] as string, value],
      ]) as AttributeMap;
      const result = toEvidence({ ...(loss as DecodedLogRecord), attributes });
      assert.equal(result.kind, "invalid", `${member} ${String(value).slice(0, 30)}`);
      assert.match(result.kind === "invalid" ? result.reason : "", /^[^\r\n]{5,200}$/);
    }
    for (const counts of [["file_open seen=x"], ["file_open what=1"], [" seen=1"], ["f seen=1 lost.A=1"]]) {
      const [stream] = decodeRequest(
        request((builder) =>
          encodeStreamRecord(builder, { streamId: "s", state: "end", counts: [], timeUnixNano: 1n }, context),
        ),
      );
      const attributes = new Map([
        ...(stream?.attributes ?? []),
        [keys.counts as string, counts],
      ]) as AttributeMap;
      assert.equal(
        toEvidence({ ...(stream as DecodedLogRecord), attributes }).kind,
        "invalid",
        String(counts),
      );
    }
  });
});
