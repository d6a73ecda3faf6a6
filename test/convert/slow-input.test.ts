/** Input from a pipe that goes on for long: what is there is handed on. */
import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { readStoredRequests } from "../../src/convert/stored-requests.ts";
import { chunked, collectStored } from "./collect.ts";
import { corpus } from "./stored-corpus.ts";

const V1 = '{"ts_ns":1,"src":"x","pid":1,"comm":"c","event":{"type":"file_open","path":"/"}}\n';
const OTLP = '{"resourceLogs":[{"scopeLogs":[]}]}\n';
const LINES = {
  "v1 lines": [V1, V1, V1],
  "OTLP JSON lines": [OTLP, OTLP],
  "Grafana rows in CSV": ['"Time","Line","labels"\n', `"1","x","{""a"":""b""}"\n`, `"2","x","{}"\n`],
  "zstd frames of v1 lines": [zstdCompressSync(V1), zstdCompressSync(V1)],
};

describe("a slow pipe", () => {
  for (const [name, parts] of Object.entries(LINES)) {
    it(`of ${name} gives each message before the next one comes`, async () => {
      let given = 0;
      let asked = 0;
      async function* slowly() {
        for (const [index, part] of parts.entries()) {
          // The header of a table is no row.
          const wanted = name.startsWith("Grafana") ? index - 1 : index;
          asked = wanted;
          assert.ok(given >= wanted, `${given} given, ${index} parts read`);
          yield Buffer.from(part);
        }
      }
      for await (const items of readStoredRequests(slowly())) {
        given += items.filter(({ kind }) => kind === "request").length;
      }
      assert.equal(given, asked + 1);
    });
  }

  it("is read as the same input that comes at once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), fc.array(fc.nat(60), { maxLength: 5 }), async (seed, cuts) => {
        for (const { bytes, name } of corpus(seed)) {
          assert.deepEqual(
            await collectStored(chunked(bytes, cuts)),
            await collectStored(chunked(bytes, [])),
            name,
          );
        }
      }),
      { numRuns: 30 },
    );
  });
});
