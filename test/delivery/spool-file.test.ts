import assert from "node:assert/strict";
import fc from "fast-check";
import type { SealedRequest } from "../../src/delivery/outcome.ts";
import {
  decodeSpoolFile,
  decodeSpoolHeader,
  encodeSpoolHeader,
  SPOOL_HEADER_BYTES_MAX,
} from "../../src/delivery/spool-file.ts";

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const name = fc.string({ unit: "grapheme", maxLength: 20 });

const request: fc.Arbitrary<SealedRequest> = fc
  .record(
    {
      body: fc.uint8Array({ maxLength: 400 }),
      recordCount: fc.nat({ max: 2 ** 32 - 1 }),
      sealedAtUnixMs: fc.double({ min: 0, max: 1e15, noNaN: true }),
      streamId: name,
      firstSequence: count,
      lastSequence: count,
      recordsByProbe: fc.array(fc.tuple(name, count), { maxLength: 8 }).map((entries) => new Map(entries)),
    },
    { requiredKeys: ["body", "recordCount", "sealedAtUnixMs"], noNullPrototype: true },
  )
  .map(({ body, ...facts }) => ({ ...facts, body: Buffer.from(body) }) as SealedRequest);

const fileOf = (request: SealedRequest) => Buffer.concat([encodeSpoolHeader(request), request.body]);

describe("a spool file", () => {
  it("gives back the request it was made of", () => {
    fc.assert(
      fc.property(request, (request) => {
        const decoded = decodeSpoolFile(fileOf(request));
        assert.deepEqual(decoded, request);
      }),
      { numRuns: 500 },
    );
  });

  it("notices every changed byte, and says what is lost as long as the header is whole", () => {
    fc.assert(
      fc.property(request, fc.nat(), fc.integer({ min: 1, max: 255 }), (request, place, change) => {
        const file = fileOf(request);
        const at = place % file.length;
        file[at] = (file[at] as number) ^ change;
        const decoded = decodeSpoolFile(file);
        assert.ok("damage" in decoded);
        if (at < file.length - request.body.length) return;
        const { body: _, ...facts } = request;
        assert.deepEqual(decoded.facts, facts);
      }),
      { numRuns: 500 },
    );
  });

  it("notices every cut and every addition", () => {
    fc.assert(
      fc.property(
        request,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        (request, place, more) => {
          const file = fileOf(request);
          assert.ok("damage" in decodeSpoolFile(file.subarray(0, place % file.length)));
          assert.ok("damage" in decodeSpoolFile(Buffer.concat([file, more])));
        },
      ),
    );
  });

  it("survives whatever is in a directory", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, magic) => {
        const file = Buffer.concat([magic ? Buffer.from("RESQ\u0001\0") : Buffer.alloc(0), bytes]);
        assert.ok("damage" in decodeSpoolFile(file));
      }),
      { numRuns: 1000 },
    );
  });

  it("is read as far as its header without its payload", () => {
    const file = fileOf({
      body: Buffer.alloc(100_000, 1),
      recordCount: 3,
      sealedAtUnixMs: 1,
      recordsByProbe: new Map(Array.from({ length: 80 }, (_, index) => [`probe ${index}`, index])),
    });
    const header = decodeSpoolHeader(file.subarray(0, SPOOL_HEADER_BYTES_MAX), file.length);
    assert.ok("payloadBytes" in header);
    assert.equal(header.payloadBytes, 100_000);
    assert.equal(header.facts.recordsByProbe?.get("probe 79"), 79);
  });

  it("names the version of a format that a later build wrote", () => {
    const file = fileOf({ body: Buffer.alloc(1), recordCount: 1, sealedAtUnixMs: 1 });
    file.writeUInt16LE(2, 4);
    assert.deepEqual(decodeSpoolFile(file), { damage: "it has version 2 of the format, this build reads 1" });
  });

  it("has the layout that is documented", () => {
    const header = encodeSpoolHeader({
      body: Buffer.from("abc"),
      recordCount: 5,
      sealedAtUnixMs: 1,
      streamId: "f0",
      firstSequence: 2,
      lastSequence: 6,
      recordsByProbe: new Map([["x", 5]]),
    });
    assert.equal(
      header.subarray(0, -4).toString("hex"),
      "52455351" + // magic
        "0100" + // version
        "4000" + // header bytes
        "03000000" + // payload bytes
        "c2412435" + // crc32("abc") = 352441c2
        "05000000" + // records
        "000000000000f03f" + // sealed at
        "0200000000000000" +
        "0600000000000000" +
        "0f" + // flags
        "02" + // bytes of the stream id
        "01" + // probes
        "00" +
        "6630" + // stream id
        "0178" + // probe name
        "0500000000000000",
    );
  });
});
