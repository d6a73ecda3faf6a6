import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { startStatusLine } from "../../src/health/status-line.ts";

function terminal(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 20 });
  return { stream, text: () => String(stream.read() ?? "").replaceAll("\r\u001b[2K", "~") };
}

describe("status line", () => {
  it("stands below the lines, within the terminal, and is gone at the end", () => {
    const { stream, text } = terminal(true);
    const status = startStatusLine(stream, () => "x".repeat(50));
    status.print("one");
    assert.equal(text(), `~one\n~${"x".repeat(19)}`);
    status.end();
    assert.equal(text(), "~");
    status.print("two");
    status.end();
    assert.equal(text(), "~two\n");
  });

  it("is nothing where no terminal is", () => {
    const { stream, text } = terminal(false);
    const status = startStatusLine(stream, () => assert.fail("nothing is drawn"));
    status.print("one");
    status.end();
    assert.equal(text(), "one\n");
  });
});
