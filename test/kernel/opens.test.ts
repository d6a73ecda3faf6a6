import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EvidenceRecord, FileOpen } from "../../src/evidence/record.ts";
import { assertBooksBalance, booksOf, capture, needsKernel, runCli, trigger } from "./live.ts";

const O = { RDWR: 2, WRONLY: 1, CREAT: 0o100, TRUNC: 0o1000, APPEND: 0o2000, CLOEXEC: 0o2000000 };

describe("file_open", function () {
  this.timeout(60_000);
  let directory = "";
  before(function () {
    needsKernel(this);
    directory = mkdtempSync(join(tmpdir(), "runtime-evidence-opens-"));
  });
  after(() => directory !== "" && rmSync(directory, { recursive: true }));

  const eventsOf = (records: EvidenceRecord[], match: (event: FileOpen) => boolean) =>
    records
      .filter(({ event }) => event.type === "file_open" && match(event))
      .map(({ src, event }) => ({ src, ...event }));

  it("has exactly what each system call was given", async () => {
    const { records, stdout } = await capture(["--events", "file_open"], [trigger("open-each"), directory]);
    const { pid, dfd } = JSON.parse(stdout) as { pid: number; dfd: number };
    assert.ok(records.every((record) => record.pid === pid));
    const type = "file_open";
    assert.deepEqual(
      eventsOf(records, ({ path }) => path.includes("by-")),
      [
        {
          src: "sys_enter_openat",
          type,
          path: "by-openat",
          flags: O.RDWR | O.CREAT | O.CLOEXEC,
          access: "read_write",
          dfd,
          mode: 0o640,
        },
        {
          src: "sys_enter_openat2",
          type,
          path: "by-openat2",
          flags: O.WRONLY | O.CREAT,
          access: "write",
          dfd,
          mode: 0o604,
        },
        {
          src: "sys_enter_open",
          type,
          path: `${directory}/by-open`,
          flags: O.WRONLY | O.CREAT | O.APPEND,
          access: "write",
          mode: 0o600,
        },
        {
          src: "sys_enter_creat",
          type,
          path: `${directory}/by-creat`,
          flags: O.WRONLY | O.CREAT | O.TRUNC,
          access: "write",
          mode: 0o444,
        },
      ],
    );
    assert.deepEqual(
      eventsOf(records, ({ path }) => path === ""),
      [{ src: "sys_enter_openat", type, path: "", flags: 0, access: "read", dfd }],
    );
  });

  it("reads a path that is not resident at entry again at exit, and says so", async () => {
    const file = join(directory, "cold");
    const wanted = join(directory, "named-by-a-cold-page");
    writeFileSync(file, `${wanted}\0`);
    const { records } = await capture(
      ["--events", "file_open", "--extensions"],
      [trigger("open-cold-path"), file],
    );
    const found = records.find(({ event }) => (event as FileOpen).path === wanted);
    assert.ok(found !== undefined);
    assert.deepEqual((found as { extensions?: unknown }).extensions, { pathRead: "exit" });
  });

  it("counts what can't be read at all, a NULL open_how too, and makes nothing up for it", async () => {
    const { stdout, books, records } = await capture(
      ["--events", "file_open"],
      [trigger("open-bad-pointer")],
    );
    assert.equal((JSON.parse(stdout) as { faults: number }).faults, 3);
    assert.deepEqual(books[0]?.lost, { read_fault: "3" });
    assert.deepEqual(
      eventsOf(records, ({ path }) => path === "open-how-at-null"),
      [],
    );
  });

  it("keeps paths up to 4,095 bytes whole", async () => {
    const deep = `${directory}/${"d".repeat(200)}`;
    mkdirSync(deep);
    const path = deep + "/./".repeat(2000);
    for (const length of [1000, 4000, 4095]) {
      const wanted = path.slice(0, length);
      const { records } = await capture(["--events", "file_open"], [trigger("open-loop"), wanted, "1"]);
      assert.equal(eventsOf(records, (event) => event.path === wanted).length, 1, `${length} bytes`);
    }
  });

  it("carries any bytes of a path", async () => {
    const raw = Buffer.from(`${directory}/\xff\xfe-caf\xe9`, "latin1");
    const { records } = await capture(
      ["--events", "file_open", "--extensions"],
      [
        "sh",
        "-c",
        `cat "$(printf '${[...raw].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}')" 2>/dev/null; true`,
      ],
    );
    const found = records.find(({ event }) => (event as FileOpen).path === raw.toString("utf8"));
    assert.ok(found !== undefined);
    assert.equal(
      (found as { extensions?: { pathRaw?: string } }).extensions?.pathRaw,
      raw.toString("base64"),
    );
  });

  it("one million opens at full speed add up exactly, with none lost", async function () {
    // Needs both cores: where others take one of them, the books must still balance, each time.
    this.retries(2);
    const loop = [trigger("open-loop"), "/nonexistent/runtime-evidence", "1000000"];
    const options = ["--events", "file_open", "--discard", "--summary", "json"];
    const run = await runCli(["capture", ...options, "--", ...loop]);
    assert.equal(run.code, 0, run.stderr);
    const books = booksOf(run);
    assertBooksBalance(books);
    const [opens] = books;
    assert.ok(opens !== undefined);
    assert.deepEqual(opens.lost, {});
    // The loop itself, and the few files that its start opens.
    assert.ok(BigInt(opens.exported) >= 1_000_000n && BigInt(opens.exported) < 1_000_100n, opens.exported);
  });
});
