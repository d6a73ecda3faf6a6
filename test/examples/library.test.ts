import assert from "node:assert/strict";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { parseEvidenceJson, stringifyEvidence } from "../../src/evidence/json.ts";
import type { EvidenceRecord, JsonValue } from "../../src/evidence/record.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { toEvidence } from "../../src/otlp/to-evidence.ts";
import { collectorMissing, startCollector } from "../backends/collector.ts";
import { anyEvidenceRecord } from "../evidence/record-arbitrary.ts";
import { receiverUnderTest } from "../receive/receiver-under-test.ts";
import { skip } from "../skip.ts";
import { REPOSITORY, readText } from "../tidy/repository.ts";
import { installPackage, type PackageProject } from "./packed-package.ts";

/** What the programs of examples/ and docs/library.md import beside the package. */
const OWN_PACKAGES = [
  "@opentelemetry/exporter-logs-otlp-grpc",
  "@opentelemetry/resources",
  "@opentelemetry/sdk-logs",
  "@types/node",
];
const EXAMPLES = readdirSync(join(REPOSITORY, "examples")).filter(
  (name) => name.endsWith(".ts") && readText(`examples/${name}`).includes('from "runtime-evidence"'),
);

/** The programs in docs/library.md, and the output that the comments beside their console.log promise. */
const SNIPPETS = Array.from(
  readText("docs/library.md").matchAll(/^```ts\n(.*?)^```$/gms),
  ([, text = ""], index) => ({
    name: `snippet-${index + 1}.ts`,
    text,
    promised: Array.from(
      text.matchAll(/^\s*(?:if \(.*\) )?console\.log\(.*\); \/\/ (.*)$/gm),
      ([, output]) => output as string,
    ),
  }),
);

const seed = Date.now() & 0x7fffffff;
const records = fc.sample(anyEvidenceRecord, { numRuns: 150, seed });
const lines = (some: readonly EvidenceRecord[]) =>
  some.map((record) => stringifyEvidence(record as unknown as JsonValue));
const rebuilt = (ndjson: string) =>
  ndjson
    .split("\n")
    .filter((line) => line !== "")
    .map(parseEvidenceJson);

describe("the package", function () {
  this.timeout(90_000);
  let project: PackageProject;

  before(async () => {
    project = await installPackage(OWN_PACKAGES);
    for (const name of EXAMPLES) copyFileSync(join(REPOSITORY, "examples", name), project.path(name));
    for (const { name, text } of SNIPPETS) await project.write(name, text);
    await project.write("evidence.ndjson", `${lines(records).join("\n")}\n`);
  });
  after(() => project?.remove());

  it("has the library, its types, the command and the schema, and nothing of the tests", () => {
    for (const path of [
      "dist/index.js",
      "dist/index.d.ts",
      "dist/cli/main.js",
      "schema/runtime-evidence-v1.schema.json",
      "LICENSE",
    ]) {
      assert.ok(project.packedFiles.includes(`package/${path}`), path);
    }
    assert.deepEqual(
      project.packedFiles.filter((path) => /^package\/(?:src|test|native|bpf)\//.test(path)),
      [],
    );
  });

  it("checks with its types in a strict project, the examples and the documentation included", async () => {
    assert.ok(
      EXAMPLES.length >= 4 && SNIPPETS.length >= 4,
      `${EXAMPLES.length} examples, ${SNIPPETS.length} snippets`,
    );
    assert.equal(await project.checkTypes(), "");
    await project.write(
      "wrong.ts",
      'import { validate } from "runtime-evidence";\nexport const text: string = validate(1);\n',
    );
    assert.match(
      await project.checkTypes(),
      /^wrong\.ts\(2,14\): error TS2322: Type 'Validation' is not assignable/,
    );
    await project.write("wrong.ts", "");
  });

  it("can be required as well as imported, and has no other way in", async () => {
    const program = `
      const { stringify, parse } = require("runtime-evidence");
      console.log(stringify(parse("[12345678901234567890]")));
      console.log(require("runtime-evidence/schema/runtime-evidence-v1.schema.json").type);
      import("runtime-evidence/dist/otlp/mapping.js").catch(({ code }) => console.log(code));`;
    await project.write("required.cjs", program);
    const { stdout } = await project.run(["required.cjs"]);
    assert.equal(stdout, "[12345678901234567890]\nobject\nERR_PACKAGE_PATH_NOT_EXPORTED\n");
  });

  describe("examples", () => {
    it("validate-records.ts prints valid records digit by digit and names the others by their line", async () => {
      await project.write("mixed.ndjson", ["{}", ...lines(records), '{"a":', ""].join("\n"));
      const { stdout, stderr } = await project.run(["validate-records.ts", "mixed.ndjson"]);
      assert.deepStrictEqual(rebuilt(stdout), records, `seed ${seed}`);
      const [first = "", last = ""] = stderr.trim().split("\n");
      assert.match(first, /^line 1: \/ must have required property/);
      assert.match(last, new RegExp(`^line ${records.length + 2}: not JSON`));
    });

    it("log-records.ts turns records into log records and back", async () => {
      const { stdout, stderr } = await project.run(["log-records.ts", "evidence.ndjson"]);
      assert.deepStrictEqual(rebuilt(stdout), records, `seed ${seed}`);
      assert.equal(stderr.match(/^runtime_evidence\.\w+: /gm)?.length, records.length);
    });

    it("emit-through-a-logger.ts sends with OpenTelemetry's exporter to a real Collector, and all comes back", async function () {
      const reason = collectorMissing();
      if (reason !== undefined) skip(this, reason);
      const collector = await startCollector({ config: "file" });
      try {
        const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.grpcEndpoint };
        const { code, stderr } = await project.run(
          ["emit-through-a-logger.ts", "evidence.ndjson"],
          environment,
        );
        assert.equal(code, 0, stderr);
        assert.equal(stderr, `emitted ${records.length} records\n`);
        await collector.stop();
        for (const stored of [collector.jsonPath, collector.protoPath]) {
          const { stdout } = await project.run([
            "node_modules/runtime-evidence/dist/cli/main.js",
            "convert",
            stored,
          ]);
          assert.deepStrictEqual(rebuilt(stdout), records, `seed ${seed}`);
        }
      } finally {
        await collector.remove();
      }
    });

    it("durable-exporter.ts delivers everything to a collector that refuses at first", async () => {
      let refusals = 2;
      const { receiver, requests, httpPort } = await receiverUnderTest({}, async () => {
        if (refusals-- > 0) throw new RuntimeEvidenceError("limit", "not yet");
      });
      try {
        const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${httpPort}` };
        const { code, stderr } = await project.run(["durable-exporter.ts", "evidence.ndjson"], environment);
        assert.equal(code, 0, stderr);
        const total = records.length + 1;
        assert.match(stderr, new RegExp(`^${total} exported, ${total} acknowledged, 0 pending$`, "m"));
        const results = requests
          .slice(2)
          .flatMap(({ body }) => decodeRequest(body))
          .map(toEvidence);
        assert.equal(results.filter(({ kind }) => kind === "foreign").length, 1);
        const evidence = results.flatMap((result) => (result.kind === "evidence" ? [result.record] : []));
        assert.deepStrictEqual(evidence, records, `seed ${seed}`);
      } finally {
        await receiver.close();
      }
    });
  });

  describe("docs/library.md", () => {
    for (const { name, promised } of SNIPPETS) {
      it(`its ${name} runs and prints what it promises`, async () => {
        const { receiver, httpPort } = await receiverUnderTest();
        try {
          const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${httpPort}` };
          const { code, stdout, stderr } = await project.run([name], environment);
          assert.equal(code, 0, stderr);
          if (promised.length > 0) assert.equal(stdout, `${promised.join("\n")}\n`);
        } finally {
          await receiver.close();
        }
      });
    }

    it("names every option of the exporter and of log records", () => {
      const options = ["evidence-log-exporter", "log-exporter-options", "log-record"]
        .map((name) => readFileSync(join(REPOSITORY, `src/sdk/${name}.ts`), "utf8"))
        .flatMap((source) =>
          Array.from(source.matchAll(/^ {2}readonly (\w+)\?: /gm), ([, option]) => option as string),
        );
      assert.ok(options.includes("queueBytesMax") && options.includes("clock"));
      const text = readText("docs/library.md");
      assert.deepEqual(
        options.filter((option) => !text.includes(`\`${option}\``)),
        [],
      );
    });
  });
});
