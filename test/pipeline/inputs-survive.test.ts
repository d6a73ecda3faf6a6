/** No command overwrites what it reads, or one of its outputs with the other. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { linkSync, symlinkSync } from "node:fs";
import { CLI } from "../kernel/live.ts";
import { ndjson, numberedRecord, scratch } from "./evidence-files.ts";

describe("inputs survive", function () {
  this.timeout(60_000);
  const files = scratch();
  after(() => files.remove());
  const evidence = ndjson([numberedRecord(1), numberedRecord(2)]);
  const shell = (command: string) =>
    spawnSync("bash", ["-c", `cd "$3"; ${command}`, "-", process.execPath, CLI, files.path(".")], {
      encoding: "utf8",
      timeout: 50_000,
    });

  before(() => {
    files.write("in.ndjson", evidence);
    linkSync(files.path("in.ndjson"), files.path("hard.ndjson"));
    symlinkSync("in.ndjson", files.path("soft.ndjson"));
  });

  for (const command of [
    "convert in.ndjson --to otlp-json -o in.ndjson",
    "convert in.ndjson --to otlp-proto -o ./hard.ndjson",
    "convert in.ndjson -o soft.ndjson",
    "convert - --to otlp-json -o in.ndjson <in.ndjson",
    "convert in.ndjson --to otlp-json >>in.ndjson",
    "convert . -o in.ndjson",
    "convert in.ndjson -o other --rejects in.ndjson",
    "validate in.ndjson --rejects in.ndjson",
    "export in.ndjson --rejects in.ndjson --otlp-endpoint http://127.0.0.1:9",
  ]) {
    it(`refuses: ${command}`, () => {
      const { status, stderr } = shell(`"$1" "$2" ${command}`);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /^error: .* is one of the inputs: write to another file\n$/);
      assert.equal(files.read("in.ndjson"), evidence);
    });
  }

  it("refuses one file as two outputs, before it is there, too", () => {
    const { status, stderr } = shell('"$1" "$2" convert in.ndjson --to otlp-json -o new --rejects ./new');
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^error: \.\/new is named for two outputs/);
  });

  it("lets outputs go to one device, and to what was there before", () => {
    files.write("old", "to be replaced\n");
    const { status, stderr } = shell(
      '"$1" "$2" convert in.ndjson --to otlp-json -o /dev/null --rejects /dev/null && "$1" "$2" convert in.ndjson --to otlp-json -o old',
    );
    assert.equal(status, 0, stderr);
    assert.match(files.read("old"), /^\{"resourceLogs"/);
  });
});
