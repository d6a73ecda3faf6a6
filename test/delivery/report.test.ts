import assert from "node:assert/strict";
import { createReport } from "../../src/delivery/report.ts";
import { headerSecrets, remoteText } from "../../src/evidence/remote-text.ts";

describe("the report", () => {
  it("writes one line per subject and interval, and says how many it held back", () => {
    const lines: string[] = [];
    let nowMs = 0;
    const report = createReport(
      (line) => lines.push(line),
      1000,
      () => nowMs,
    );
    for (nowMs = 0; nowMs <= 1000; nowMs += 100) report("a", `a at ${nowMs}`);
    report("b", "b");
    assert.deepEqual(lines, ["a at 0", "a at 1000 (and 9 more since the last such line)", "b"]);
  });

  it("remembers a bounded number of subjects", () => {
    const lines: string[] = [];
    const report = createReport(
      (line) => lines.push(line),
      1000,
      () => 0,
    );
    for (let subject = 0; subject < 10_000; subject++) report(`${subject}`, "line");
    assert.equal(lines.length, 65);
  });
});

describe("text from the other side", () => {
  it("is one line without control characters, escapes or direction marks", () => {
    assert.equal(remoteText("a\r\nb\u0000c\u001b[31md\u202ee\u2028f\ud800g", []), "a b c [31md e f g");
  });

  it("is cut", () => {
    assert.equal(remoteText("x".repeat(1e6), []).length, 301);
  });

  it("has no secret in it, whole or after its scheme", () => {
    const secrets = headerSecrets(
      new Map([
        ["authorization", "Bearer abcd.efgh"],
        ["x-key", "abcd"],
        ["x-n", "1"],
      ]),
    );
    assert.equal(
      remoteText("Bearer abcd.efgh / abcd.efgh / abcd / 1", secrets),
      "[redacted] / [redacted] / [redacted] / 1",
    );
  });
});
