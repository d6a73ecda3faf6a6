/**
 * `make bench`: runs each benchmark in a process of its own and writes docs/benchmarks.md.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));
const BENCH_TIMEOUT_MS = 15 * 60_000;

const BENCHES = [
  {
    file: "open-cost.ts",
    title: "Cost added to one open()",
    about: "A loop of opens of a missing file: untraced, captured by us, traced by opensnoop; paired rounds.",
  },
  {
    file: "uprobe-cost.ts",
    title: "Cost added to one probed call",
    about: "A loop of calls: unprobed, captured by us, traced by bpftrace; paired rounds.",
  },
  {
    file: "encode.ts",
    title: "Encoding",
    about:
      "A file_open with all its attributes to OTLP protobuf; OpenTelemetry's serializer from the same values.",
  },
  {
    file: "send.ts",
    title: "Sending",
    about: "CPU of the sender per record of about 300 bytes over gRPC, to a server that only acknowledges.",
  },
  {
    file: "spool.ts",
    title: "Queueing",
    about:
      "Requests of 3.5 MiB, 600 bytes a record, through each queue; in an outage all is written, and read back afterwards.",
  },
  {
    file: "decode.ts",
    title: "Rebuilding",
    about: "OTLP to validated v1 JSON; JSON.parse and JSON.stringify of the same records as the measure.",
  },
  {
    file: "convert.ts",
    title: "Converting",
    about:
      "The whole command on one core, from a file to a file; a loop of JSON.parse and JSON.stringify over the same v1 lines as the measure.",
  },
  {
    file: "end-to-end.ts",
    title: "End to end",
    about: "One program opens at full speed on one core while everything else shares the other.",
  },
] as const;

function run(file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const child = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), BENCH_TIMEOUT_MS);
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      process.stdout.write(chunk);
      output += chunk.toString();
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(output.trim());
      else reject(new Error(`${file} ended with ${code}`));
    });
  });
}

const [{ model } = { model: "unknown" }] = cpus();
const sections = [
  "# Benchmarks",
  `Written by \`make bench\` on ${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}. ` +
    "Machines differ and are noisy: the ratios within one run say more than the figures.",
];
for (const { file, title, about } of BENCHES) {
  console.log(`\n## ${title}\n`);
  sections.push(`## ${title}`, about, await run(file));
}
writeFileSync(PAGE, `${sections.join("\n\n")}\n`);
console.log(`\nwritten to docs/benchmarks.md`);
