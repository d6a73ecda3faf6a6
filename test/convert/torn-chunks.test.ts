import assert from "node:assert/strict";
import fc from "fast-check";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import { chunked, collectStored } from "./collect.ts";

/** Messages of OTLP shape; the text brings quotes, braces, newlines and escapes into the strings. */
const message = fc
  .array(fc.string({ unit: "binary", maxLength: 30 }), { maxLength: 3 })
  .map((texts) => ({ resourceLogs: texts.map((text) => ({ schemaUrl: text })) }));

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

/** Protobuf of the message above: field 1 with field 3 in it; texts are short enough for one-byte lengths. */
function protobuf({ resourceLogs }: { resourceLogs: { schemaUrl: string }[] }): Buffer {
  return Buffer.concat(
    resourceLogs.map(({ schemaUrl }) => {
      const text = Buffer.from(schemaUrl.slice(0, 25));
      return Buffer.concat([Buffer.from([0x0a, text.length + 2, 0x1a, text.length]), text]);
    }),
  );
}

const encodings = {
  "JSON lines": (messages: fc.Arbitrary<{ resourceLogs: { schemaUrl: string }[] }[]>) =>
    messages.map((all) => all.map((one) => Buffer.from(`${JSON.stringify(one)}\n`))),
  "pretty JSON documents": (messages: fc.Arbitrary<{ resourceLogs: { schemaUrl: string }[] }[]>) =>
    messages.map((all) => all.map((one) => Buffer.from(`${JSON.stringify(one, null, 2)}\n`))),
  "framed protobuf": (messages: fc.Arbitrary<{ resourceLogs: { schemaUrl: string }[] }[]>) =>
    // The splitter passes over empty messages.
    messages.map((all) =>
      all.filter((one) => one.resourceLogs.length > 0).map((one) => frame(protobuf(one))),
    ),
};

/** The message that was stored as `stored`. */
function bodyOf(name: string, stored: Buffer): Buffer {
  return name === "framed protobuf" ? stored.subarray(4) : stored.subarray(0, -1);
}

function requestBodies(items: readonly StoredItem[]): string[] {
  return items.flatMap((item) => (item.kind === "request" ? [item.body.toString("hex")] : []));
}

for (const [name, encode] of Object.entries(encodings)) {
  const stored = encode(fc.array(message, { minLength: 1, maxLength: 6 }));

  describe(`torn chunks of ${name}`, function () {
    this.timeout(30_000);

    it("any chunking gives the same messages at the same places", async () => {
      await fc.assert(
        fc.asyncProperty(stored, fc.array(fc.nat(2000)), async (parts, cuts) => {
          const bytes = Buffer.concat(parts);
          const items = await collectStored(chunked(bytes, cuts));
          assert.deepEqual(items, await collectStored(chunked(bytes, [])));
          assert.deepEqual(
            requestBodies(items),
            parts.map((part) => bodyOf(name, part).toString("hex")),
          );
          for (const item of items) {
            assert.ok(item.kind === "request");
            assert.deepEqual(bytes.subarray(item.offset, item.offset + item.body.length), item.body);
          }
        }),
        { numRuns: 200 },
      );
    });

    it("a byte at a time gives the same messages", async () => {
      await fc.assert(
        fc.asyncProperty(stored, async (parts) => {
          const bytes = Buffer.concat(parts);
          const everywhere = Array.from({ length: bytes.length }, (_, index) => index);
          assert.deepEqual(
            await collectStored(chunked(bytes, everywhere)),
            await collectStored(chunked(bytes, [])),
          );
        }),
        { numRuns: 30 },
      );
    });

    it("cut at every byte, the whole messages are there and at most one partial tail", async () => {
      await fc.assert(
        fc.asyncProperty(stored, async (parts) => {
          const bytes = Buffer.concat(parts);
          for (let length = 1; length <= bytes.length; length++) {
            const items = await collectStored(chunked(bytes.subarray(0, length), []));
            let end = 0;
            const whole = parts.filter((part) => {
              end += part.length;
              // The newline behind a JSON message is no part of it.
              return (name === "framed protobuf" ? end : end - 1) <= length;
            });
            assert.deepEqual(
              requestBodies(items),
              whole.map((part) => bodyOf(name, part).toString("hex")),
            );
            assert.ok(items.length - whole.length <= 1);
            for (const item of items.slice(whole.length)) assert.equal(item.kind, "partial-tail");
          }
        }),
        { numRuns: 15 },
      );
    });
  });
}
