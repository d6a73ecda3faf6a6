import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonSyntax } from "../../src/convert/json-pieces.ts";
import { protobufSyntax } from "../../src/convert/protobuf-pieces.ts";
import { type Piece, requestPieces } from "../../src/convert/request-pieces.ts";
import { decodeJson } from "../../src/otlp/decode-json.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import type { DecodedLogRecord } from "../../src/otlp/decoded-log-record.ts";

interface Level {
  readonly own: readonly string[];
  readonly children: readonly Level[];
  /** Whether the members of its own stand behind its children, or some do. */
  readonly ownBehind: number;
}

const text = fc.string({ unit: "grapheme", maxLength: 12 });

function level(children: fc.Arbitrary<readonly Level[]>): fc.Arbitrary<Level> {
  return fc.record({ own: fc.array(text, { maxLength: 3 }), children, ownBehind: fc.nat(3) });
}

const record = level(fc.constant([]));
const scopeLogs = level(fc.array(record, { maxLength: 12 }));
const resourceLogs = level(fc.array(scopeLogs, { maxLength: 4 }));
const request = fc.array(resourceLogs, { maxLength: 4 });

function inOrder<Part>({ ownBehind }: Level, own: readonly Part[], children: readonly Part[]): Part[] {
  return [...own.slice(ownBehind), ...children, ...own.slice(0, ownBehind)];
}

function field(number: number, content: Buffer): Buffer {
  assert.ok(number < 16 && content.length < 1 << 14);
  const low = (content.length & 0x7f) | 0x80;
  return Buffer.concat([Buffer.from([number * 8 + 2, low, content.length >> 7]), content]);
}

/** A KeyValue of a text, so that each resource, scope and record has attributes of its own. */
function attribute(value: string, index: number): Buffer {
  return Buffer.concat([field(1, Buffer.from(`key${index}`)), field(2, field(1, Buffer.from(value)))]);
}

const schemaUrl = (value: string) => field(3, Buffer.from(value));

function protobufOf(levels: readonly Level[]): Buffer {
  const recordOf = ({ own }: Level) =>
    field(2, Buffer.concat(own.map((one, index) => field(6, attribute(one, index)))));
  const scopeOf = (scope: Level) =>
    field(
      2,
      Buffer.concat(
        inOrder(
          scope,
          [...scope.own.map((one) => field(1, field(1, Buffer.from(one)))), ...scope.own.map(schemaUrl)],
          scope.children.map(recordOf),
        ),
      ),
    );
  const resourceOf = (resource: Level) =>
    field(
      1,
      Buffer.concat(
        inOrder(
          resource,
          [
            ...resource.own.map((one, index) => field(1, field(1, attribute(one, index)))),
            ...resource.own.map(schemaUrl),
          ],
          resource.children.map(scopeOf),
        ),
      ),
    );
  return Buffer.concat(levels.map(resourceOf));
}

function jsonOf(levels: readonly Level[], indent: number | undefined): Buffer {
  const attributes = (own: readonly string[]) =>
    own.map((value, index) => ({ key: `key${index}`, value: { stringValue: value } }));
  const entries = (of: Level, own: object, children: object) =>
    Object.fromEntries(inOrder(of, Object.entries(own), Object.entries(children)));
  const tree = {
    resourceLogs: levels.map((resource) =>
      entries(
        resource,
        { resource: { attributes: attributes(resource.own) }, schemaUrl: resource.own.join() },
        {
          scopeLogs: resource.children.map((scope) =>
            entries(
              scope,
              { scope: { name: scope.own.join() }, schemaUrl: scope.own[0] ?? null },
              {
                logRecords: scope.children.map(({ own }) => ({ attributes: attributes(own) })),
              },
            ),
          ),
        },
      ),
    ),
  };
  return Buffer.from(JSON.stringify(tree, null, indent));
}

const encodings = {
  protobuf: {
    write: (levels: readonly Level[]) => protobufOf(levels),
    syntax: protobufSyntax,
    decode: (body: Buffer) => decodeRequest(body),
  },
  JSON: {
    write: (levels: readonly Level[]) => jsonOf(levels, undefined),
    syntax: jsonSyntax,
    decode: (body: Buffer) => decodeJson(body.toString()),
  },
  "pretty printed JSON": {
    write: (levels: readonly Level[]) => jsonOf(levels, 1),
    syntax: jsonSyntax,
    decode: (body: Buffer) => decodeJson(body.toString()),
  },
};

function bodies(pieces: Iterable<Piece>): Buffer[] {
  return [...pieces].map((piece) => {
    assert.ok("body" in piece, JSON.stringify(piece));
    return piece.body;
  });
}

function meaning(records: readonly DecodedLogRecord[]): unknown[] {
  return records.map(({ resource, scope, attributes }) => [resource, scope, attributes]);
}

for (const [name, { write, syntax, decode }] of Object.entries(encodings)) {
  describe(`pieces of a request in ${name}`, () => {
    it("together mean the same, whatever their size", () => {
      fc.assert(
        fc.property(
          request,
          fc.integer({ min: 1, max: 400 }),
          fc.integer({ min: 1, max: 20 }),
          (levels, pieceBytesMax, pieceRecordsMax) => {
            const whole = write(levels);
            const limits = { pieceBytesMax, pieceRecordsMax, recordBytesMax: 1000, valuesMax: 1000 };
            const pieces = bodies(requestPieces(whole, syntax(whole), limits));
            for (const piece of pieces) assert.ok(decode(piece).length <= pieceRecordsMax);
            assert.deepEqual(meaning(pieces.flatMap((piece) => decode(piece))), meaning(decode(whole)));
          },
        ),
        { numRuns: 100 },
      );
    });

    it("are not smaller than they have to be", () => {
      const many = Array.from({ length: 500 }, () => ({ own: ["x"], children: [], ownBehind: 0 }));
      const whole = write([
        { own: ["r"], children: [{ own: ["s"], children: many, ownBehind: 1 }], ownBehind: 1 },
      ]);
      const pieces = bodies(
        requestPieces(whole, syntax(whole), {
          pieceBytesMax: 1000,
          pieceRecordsMax: 400,
          valuesMax: 1000,
          recordBytesMax: 1000,
        }),
      );
      assert.ok(
        pieces.length < (2 * whole.length) / 1000,
        `${pieces.length} pieces of ${whole.length} bytes`,
      );
      for (const piece of pieces) assert.ok(piece.length < 1300, `${piece.length} bytes`);
    });

    it("leave out a log record over the limit, and say where", () => {
      const child = (text: string, children: Level[] = []): Level => ({
        own: [text],
        children,
        ownBehind: 0,
      });
      const records = [child("a"), child("b".repeat(600)), child("c")];
      const whole = write([child("r", [child("s", records)])]);
      const pieces = [
        ...requestPieces(whole, syntax(whole), {
          pieceBytesMax: 100,
          pieceRecordsMax: 10,
          valuesMax: 1000,
          recordBytesMax: 500,
        }),
      ];
      assert.equal(pieces.flatMap((piece) => ("body" in piece ? decode(piece.body) : [])).length, 2);
      const rejected = pieces.filter((piece) => "reason" in piece);
      assert.match(rejected[0]?.reason ?? "", /^log record in \d+ bytes is over the limit of 500 bytes$/);
      assert.ok(whole.subarray(rejected[0]?.offset).toString("latin1").slice(0, 200).includes("bbbb"));
    });

    it("of a damaged request end in one place, and hold what came before", () => {
      fc.assert(
        fc.property(request, fc.nat(), fc.nat(255), (levels, place, byte) => {
          const whole = write(levels);
          fc.pre(whole.length > 0);
          whole[place % whole.length] = byte;
          const limits = { pieceBytesMax: 50, pieceRecordsMax: 3, recordBytesMax: 1000, valuesMax: 1000 };
          for (const piece of requestPieces(whole, syntax(whole), limits)) {
            assert.ok(piece.offset >= 0 && piece.offset <= whole.length);
            if ("reason" in piece) assert.ok(piece.reason.length > 0);
          }
          for (const cut of [whole.subarray(0, place % whole.length)]) {
            for (const piece of requestPieces(cut, syntax(cut), limits))
              assert.ok(piece.offset <= cut.length);
          }
        }),
        { numRuns: 150 },
      );
    });
  });
}
