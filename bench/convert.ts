/**
 * What `convert` takes as a whole command, from a file to a file: start, reading, decoding, validation, the
 * search for duplicates, writing. As the measure, a program that does nothing but `JSON.parse` and
 * `JSON.stringify` of each line of the same v1 records. Of two sizes, to see whether memory grows with the file.
 *
 *     node bench/convert.ts [--records 1000000] [--rounds 3]
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const linesPerWrite = 10_000;
const smallShare = 4;

/** v1 records whose times are since the epoch, which is beyond the integers of a double. */
async function writeRecords(path: string, records: number): Promise<void> {
  const file = createWriteStream(path);
  for (let from = 0; from < records; from += linesPerWrite) {
    let text = "";
    for (let index = from; index < Math.min(from + linesPerWrite, records); index++) {
      const pid = 1000 + (index % 5000);
      text +=
        `{"ts_ns":${1_737_890_000_000_000_000n + BigInt(index) * 1000n},"src":"sys_enter_openat","pid":${pid},` +
        `"tid":${pid},"cgroup_id":12345,"comm":"nginx","event":{"type":"file_open",` +
        `"path":"/usr/lib/lib${index}.so","flags":524288,"access":"read","dfd":-100}}\n`;
    }
    if (!file.write(text)) await once(file, "drain");
  }
  file.end();
  await finished(file);
}

const plainProgram = `
  const { createReadStream, createWriteStream } = require("node:fs");
  const output = createWriteStream(process.argv[2]);
  (async () => {
    let gathered = "";
    for await (const line of require("node:readline").createInterface({ input: createReadStream(process.argv[1]) })) {
      gathered += JSON.stringify(JSON.parse(line)) + "\\n";
      if (gathered.length < 262144) continue;
      if (!output.write(gathered)) await new Promise((resolve) => output.once("drain", resolve));
      gathered = "";
    }
    output.end(gathered);
  })();
`;

interface Timing {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMiB: number;
}

/** The best of the rounds: other load only ever adds. */
function time(args: readonly string[], rounds: number): Timing {
  const timings = Array.from({ length: rounds }, () => timeOnce(args));
  return timings.reduce((best, timing) => (timing.seconds < best.seconds ? timing : best));
}

/** On one core, as a benchmark of one program has to be; the shell says what it took. */
function timeOnce(args: readonly string[]): Timing {
  const code = `
    import os, resource, subprocess, sys, time
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    started = time.monotonic()
    status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(status, time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
  `.replaceAll("\n    ", "\n");
  const output = execFileSync("python3", ["-c", code, ...args], { encoding: "utf8" });
  const [status = 1, seconds = 0, cpuSeconds = 0, rssMiB = 0] = output.trim().split(" ").map(Number);
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}`);
  return { seconds, cpuSeconds, rssMiB };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      records: { type: "string", default: "1000000" },
      rounds: { type: "string", default: "3" },
    },
  });
  const records = Number(values.records);
  const folder = mkdtempSync(join(tmpdir(), "runtime-evidence-bench-"));
  const path = (name: string) => join(folder, name);
  const convert = (input: string, output: string, ...options: readonly string[]) => [
    command,
    "convert",
    path(input),
    "-o",
    path(output),
    ...options,
  ];
  const rows: [string, readonly string[]][] = [
    [
      "JSON.parse and JSON.stringify of each line",
      [process.execPath, "-e", plainProgram, path("v1"), path("plain")],
    ],
    ["v1 to OTLP protobuf", convert("v1", "proto", "--to", "otlp-proto")],
    ["OTLP protobuf to v1", convert("proto", "from-proto")],
    ["v1 to OTLP JSON", convert("v1", "json", "--to", "otlp-json")],
    ["OTLP JSON to v1", convert("json", "from-json")],
  ];
  try {
    await writeRecords(path("v1"), records / smallShare);
    const small = rows.map(([, args]) => time(args, 1));
    await writeRecords(path("v1"), records);
    console.log("| command | records/s | CPU µs/record | MiB read | RSS peak MiB | RSS of a quarter of it |");
    console.log("|---|--:|--:|--:|--:|--:|");
    for (const [index, [name, args]] of rows.entries()) {
      const { seconds, cpuSeconds, rssMiB } = time(args, Number(values.rounds));
      const input = args[0] === command ? (args[2] as string) : path("v1");
      const cells = [
        name,
        Math.round(records / seconds).toLocaleString("en-US"),
        ((cpuSeconds * 1e6) / records).toFixed(2),
        (statSync(input).size / 2 ** 20).toFixed(0),
        rssMiB.toFixed(0),
        small[index]?.rssMiB.toFixed(0),
      ];
      console.log(`| ${cells.join(" | ")} |`);
    }
    for (const output of ["from-proto", "from-json"]) {
      if (!readFileSync(path(output)).equals(readFileSync(path("v1"))))
        throw new Error("records did not come back");
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
