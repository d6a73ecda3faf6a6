/**
 * Runs each case of a benchmark in a process of its own, so that none runs on code another has warmed, and
 * prints one table of all.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";

/** Works through `records` records and returns how many bytes of OTLP they were. */
export type BenchCase = (records: number) => number | Promise<number>;

export interface CaseResult {
  readonly name: string;
  readonly cpuUsPerRecord: number;
  readonly recordsPerSecond: number;
  readonly bytesPerRecord: number;
}

const warmUpShare = 4;

async function measure(name: string, run: BenchCase, records: number): Promise<CaseResult> {
  await run(Math.ceil(records / warmUpShare));
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const bytes = await run(records);
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    name,
    cpuUsPerRecord: (user + system) / records,
    recordsPerSecond: records / seconds,
    bytesPerRecord: bytes / records,
  };
}

/** In turning order, and of each case the round with the least CPU: other load only ever adds. */
function compare(file: string, names: readonly string[], records: number, rounds: number): CaseResult[] {
  const best = new Map<string, CaseResult>();
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const output = execFileSync(process.execPath, [file, "--case", name, "--records", String(records)], {
        encoding: "utf8",
      });
      const result = JSON.parse(output) as CaseResult;
      const known = best.get(name);
      if (known === undefined || result.cpuUsPerRecord < known.cpuUsPerRecord) best.set(name, result);
    }
  }
  return names.flatMap((name) => best.get(name) ?? []);
}

function print(results: readonly CaseResult[]): void {
  const first = results[0]?.cpuUsPerRecord ?? Number.NaN;
  console.log("| case | CPU µs/record | against the first | records/s | bytes/record |");
  console.log("|---|--:|--:|--:|--:|");
  for (const { name, cpuUsPerRecord, recordsPerSecond, bytesPerRecord } of results) {
    const cells = [
      name,
      cpuUsPerRecord.toFixed(2),
      `${(cpuUsPerRecord / first).toFixed(1)} x`,
      Math.round(recordsPerSecond).toLocaleString("en-US"),
      bytesPerRecord.toFixed(0),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

/** The `main` of a benchmark: `[--records N] [--rounds N] [--json]`. */
export async function runCases(file: string, cases: Readonly<Record<string, BenchCase>>): Promise<void> {
  const { values } = parseArgs({
    options: {
      case: { type: "string" },
      records: { type: "string", default: "500000" },
      rounds: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
    },
  });
  const records = Number(values.records);
  if (values.case === undefined) {
    const results = compare(file, Object.keys(cases), records, Number(values.rounds));
    if (values.json) console.log(JSON.stringify(results, null, 2));
    else print(results);
    return;
  }
  const run = cases[values.case];
  if (run === undefined) throw new Error(`no case is called ${values.case}`);
  console.log(JSON.stringify(await measure(values.case, run, records)));
}
