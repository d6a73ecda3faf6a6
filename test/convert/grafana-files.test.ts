import assert from "node:assert/strict";
import fc from "fast-check";
import type { StoredItem } from "../../src/convert/stored-item.ts";
import { chunked, collectStored } from "./collect.ts";

/** As Grafana's "Download logs" writes JSON: one array on one line. */
const ROWS = [
  {
    line: "c[1] process_exec /p",
    timestamp: "1737890000123456789",
    fields: { process_pid: "1", service_name: "s" },
  },
  {
    line: 'with "quotes"; and {',
    timestamp: "1737890000123456790",
    fields: { process_pid: "2", file_path: "a,b\nc" },
  },
];

async function read(text: string | Buffer, cuts: readonly number[] = []): Promise<StoredItem[]> {
  return await collectStored(chunked(Buffer.from(text), cuts));
}

function rows(items: readonly StoredItem[]): unknown[] {
  return items.map((item) => {
    if (item.kind === "request") assert.equal(item.encoding, "grafana");
    return item.kind === "request" ? JSON.parse(item.body.toString()) : [item.kind, item.line];
  });
}

/** As Grafana writes CSV (its toCSV): quoted names, values quoted where needed, CR LF, an empty row at the end. */
function csv(table: readonly (readonly string[])[], delimiter = ","): string {
  const [names = [], ...values] = table;
  const cell = (text: string) =>
    /["\n]/.test(text) || text.includes(delimiter) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = [names.map((name) => `"${name}"`), ...values.map((row) => row.map(cell))];
  return `${lines.map((line) => `${line.join(delimiter)}\r\n`).join("")}\r\n`;
}

const NAMES = ["Time", "Line", "tsNs", "id", "process_pid", "runtime_evidence_event_type", "file_path"];
const TABLE = [
  NAMES,
  ["2025-01-26 11:13:20.123", "first", "1737890000123456789", "a_1", "1", "file_open", '/a "b", c;d\n\ne\r'],
  ["2025-01-26 11:13:20.123", 'a "second"', "1737890000123456790", "a_2", "2", "process_exec", ""],
];
const TABLE_ROWS = [
  {
    timestamp: "1737890000123456789",
    line: "first",
    fields: {
      Time: TABLE[1]?.[0],
      id: "a_1",
      process_pid: "1",
      runtime_evidence_event_type: "file_open",
      file_path: '/a "b", c;d\n\ne\r',
    },
  },
  {
    timestamp: "1737890000123456790",
    line: 'a "second"',
    fields: { Time: TABLE[2]?.[0], id: "a_2", process_pid: "2", runtime_evidence_event_type: "process_exec" },
  },
];

describe("logs that Grafana downloads", () => {
  it("as JSON are recognised and cut into rows", async () => {
    assert.deepEqual(rows(await read(JSON.stringify(ROWS))), ROWS);
    assert.deepEqual(rows(await read(JSON.stringify(ROWS, undefined, 2))), ROWS);
    const labelled = ROWS.map(({ line, timestamp, fields }) => ({ line, timestamp, labels: fields }));
    assert.deepEqual(rows(await read(labelled.map((row) => `${JSON.stringify(row)}\n`).join(""))), labelled);
  });

  it("as CSV are recognised and read, with any delimiter, however chunked", async () => {
    for (const delimiter of [",", ";", "\t"]) {
      const text = csv(TABLE, delimiter);
      assert.deepEqual(rows(await read(text)), TABLE_ROWS);
      assert.deepEqual(rows(await read(`\ufeff${text}`)), TABLE_ROWS);
      assert.deepEqual(rows(await read(`sep=${delimiter}\r\n${text}`)), TABLE_ROWS);
    }
    const text = csv(TABLE);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: text.length })), async (cuts) => {
        assert.deepEqual(rows(await read(text, cuts)), TABLE_ROWS);
      }),
      { numRuns: 50 },
    );
    assert.deepEqual(
      (await read(text)).map(({ line, offset }) => [line, offset]),
      [
        [2, text.indexOf("2025")],
        [5, text.lastIndexOf("2025")],
      ],
    );
  });

  it("as CSV keep any value", async () => {
    const value = fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r", "é", "😀", " ") });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, value), { minLength: 1 }), async (values) => {
        const names = ["Line", "runtime_evidence_event_type", "a", "b"];
        const items = await read(csv([names, ...values.map(([a, b]) => ["", "file_open", a, b])]));
        const expected = values.map(([a, b]) => ({ a: a || undefined, b: b || undefined }));
        assert.deepEqual(
          rows(items)
            .map((row) => (row as { fields: { a?: string; b?: string } }).fields)
            .map(({ a, b }) => ({ a, b })),
          expected,
        );
      }),
      { numRuns: 100 },
    );
  });

  it("as the inspector's table have their labels in one column", async () => {
    const labels = { process_pid: "1", file_path: 'a "b"' };
    const text = csv([
      ["labels", "Time", "Line", "tsNs", "id"],
      [JSON.stringify(labels), "t", "l", "17", "i"],
      ["{", "t", "l", "18", "i"],
      ['{"a":"1","a":"2"}', "t", "l", "19", "i"],
      ["[]", "t", "l", "20", "i"],
      ["", "t", "l", "21", "i"],
    ]);
    const [first, ...others] = rows(await read(text));
    assert.deepEqual((first as { fields: object }).fields, { ...labels, Time: "t", id: "i" });
    assert.deepEqual(others.slice(0, 3), [
      ["rejected", 3],
      ["rejected", 4],
      ["rejected", 5],
    ]);
    assert.deepEqual((others[3] as { fields: object }).fields, { Time: "t", id: "i" });
  });

  it("keep the digits and names of the inspector's labels", async () => {
    const labels = String.raw`{"a":12345678901234567890,"\\":"0"}`;
    const other = String.raw`{"a":12345678901234567891,"\"":"0"}`;
    const table = [labels, other].map((text) => [text, "t"]);
    const items = await read(csv([["labels", "Line"], ...table]));
    const texts = items.map((item) => (item.kind === "request" ? item.body.toString() : item.kind));
    assert.ok(texts[0]?.includes(labels), texts[0]);
    assert.ok(texts[1]?.includes(other), texts[1]);
  });

  it("that are not UTF-8 are rejected by the row, not changed", async () => {
    const text = csv([
      ["runtime_evidence_event_type", "file_path"],
      ["file_open", "/a"],
      ["file_open", "/b"],
    ]);
    const bytes = Buffer.from(text.replace("/a", "/\xff"), "latin1");
    const [first, second] = await read(bytes);
    assert.ok(first?.kind === "rejected" && first.reason === "row is not UTF-8");
    assert.equal(second?.kind, "request");
  });

  it("as CSV that was cut or changed leave a tail or a rejected row, and the others are read", async () => {
    const text = csv(TABLE);
    assert.deepEqual(rows(await read(text.slice(0, -5))), [TABLE_ROWS[0], ["partial-tail", 5]]);
    const short = text.replace(",a_1,", ",");
    assert.deepEqual(rows(await read(short)), [["rejected", 2], TABLE_ROWS[1]]);
    const hidden = await read(
      csv([
        ["Time", "Line"],
        ["t", "l"],
      ]),
    );
    assert.deepEqual(rows(hidden)[0], ["rejected", 1]);
    assert.match((hidden[0] as { reason: string }).reason, /without hidden columns, or as JSON/);
  });

  it("as text or for Excel are refused, with what to download instead", async () => {
    const line = `1737890000123\t2025-01-26T11:13:20.123Z\tc[1] process_exec /p\n`;
    for (const text of [
      `\n\n${line}`,
      `Common labels: {"service_name":"s"}\nLine limit: "1000"\n\n\n${line}${line}`,
    ]) {
      await assert.rejects(read(text), {
        code: "bad-input",
        message: /holds no labels: download them as JSON or CSV/,
      });
    }
    const excel = Buffer.from(`\ufeff${csv(TABLE, "\t")}`, "utf16le");
    await assert.rejects(read(excel), { code: "bad-input", message: /without 'Download for Excel'/ });
  });
});
