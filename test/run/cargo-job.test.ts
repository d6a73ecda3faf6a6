import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCargo } from "./cargo-job.ts";

const MANIFEST = `[package]
name = "tries"
version = "0.1.0"
edition = "2024"

[workspace]
`;
const LOCK = `version = 4

[[package]]
name = "tries"
version = "0.1.0"
`;
/** The flaky one leaves a file at its first try. */
const flakyTests = (marker: string) => `
#[test]
fn passes() {}
#[test]
fn fails_each_time() {
    assert_eq!(1, 2, "never");
}
mod nested {
    #[test]
    fn is_flaky() {
        let marker = std::path::Path::new("${marker}");
        let later = marker.exists();
        std::fs::write(marker, "").unwrap();
        assert!(later, "too slow");
    }
}
#[test]
fn could_not_run() {
    eprintln!("skipped could_not_run: no kernel");
}
#[test]
#[ignore]
fn is_ignored() {}
`;

describe("a cargo job", function () {
  this.timeout(120_000);
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "cargo-job-"));
    mkdirSync(join(directory, "src"));
    writeFileSync(join(directory, "Cargo.toml"), MANIFEST);
    writeFileSync(join(directory, "Cargo.lock"), LOCK);
  });
  after(() => rmSync(directory, { recursive: true }));

  it("gives what failed one more try: twice fails, once is listed", async () => {
    writeFileSync(join(directory, "src/lib.rs"), flakyTests(join(directory, "marker")));
    const { passed, skipped, failed, passedLater } = await runCargo(join(directory, "Cargo.toml"), {
      show: "never",
    });
    assert.deepEqual({ passed, skipped }, { passed: 2, skipped: 2 }, JSON.stringify(failed));
    assert.deepEqual(
      failed.map(({ title }) => title),
      ["fails_each_time"],
    );
    assert.match(
      failed[0]?.error ?? "",
      /^src\/lib\.rs:\d+:\d+: assertion `left == right` failed: never left: 1 right: 2$/,
    );
    assert.deepEqual(
      passedLater.map(({ title }) => title),
      ["nested::is_flaky"],
    );
    assert.match(passedLater[0]?.error ?? "", /^src\/lib\.rs:\d+:\d+: too slow$/);
  });

  it("whose test program crashed has failed and says why, and has no second try", async () => {
    const crash = "#[test]\nfn crashes() { std::process::abort(); }\n";
    writeFileSync(join(directory, "src/lib.rs"), crash);
    const { failed, passedLater } = await runCargo(join(directory, "Cargo.toml"), { show: "never" });
    assert.deepEqual(passedLater, []);
    assert.equal(failed.length, 1);
    assert.match(failed[0]?.error ?? "", /SIGABRT/);
  });

  it("that does not compile has failed and says why", async () => {
    writeFileSync(join(directory, "src/lib.rs"), "fn broken( {}");
    const { passed, failed } = await runCargo(join(directory, "Cargo.toml"), { show: "never" });
    assert.equal(passed, 0);
    assert.match(failed[0]?.error ?? "", /^error: /);
  });
});
