/**
 * `receive`: OTLP servers to v1 NDJSON.
 */
import { createReport, REPORT_INTERVAL_MS } from "../delivery/report.ts";
import { type ListenAddress, startReceiver } from "../receive/receiver.ts";
import { closeAll, openLineWriter } from "./line-writer.ts";
import { requireOwnFiles } from "./output-files.ts";
import { type RebuildCounts, Rebuilder } from "./rebuild.ts";

export interface ReceiveOptions {
  grpc?: ListenAddress | undefined;
  http?: ListenAddress | undefined;
  /** A file, "-" for standard output. */
  output: string;
  rejects?: string | undefined;
  withExtensions: boolean;
  /** Write records again that a client sends again. */
  keepDuplicates: boolean;
  requestBytesMax?: number | undefined;
  report: (line: string) => void;
}

/** A receiver that writes what it gets. */
export interface RunningReceive {
  readonly grpcAddress: string | undefined;
  readonly httpAddress: string | undefined;
  readonly counts: RebuildCounts;
  /** Requests answered with an error, of which nothing was taken. */
  refusedRequests(): number;
  /** Answers what is in flight, writes the rest and closes. */
  close(): Promise<void>;
}

/** Starts listening; a request is acknowledged when its records are written. */
export async function startReceive(options: ReceiveOptions): Promise<RunningReceive> {
  await requireOwnFiles([], [options.output, options.rejects]);
  const output = await openLineWriter(options.output);
  const rejects = options.rejects === undefined ? undefined : await openLineWriter(options.rejects);
  const rebuilder = new Rebuilder({
    output,
    rejects,
    withExtensions: options.withExtensions,
    keepDuplicates: options.keepDuplicates,
    onInvalid: (reason) => options.report(`rejected a record: ${reason}`),
  });
  const report = createReport(options.report, REPORT_INTERVAL_MS, () => performance.now());
  let refused = 0;
  const receiver = await startReceiver(
    {
      ...(options.grpc === undefined ? {} : { grpc: options.grpc }),
      ...(options.http === undefined ? {} : { http: options.http }),
      ...(options.requestBytesMax === undefined ? {} : { requestBytesMax: options.requestBytesMax }),
      onRefused: (reason) => {
        refused++;
        report(reason, `refused a request: ${reason}`);
      },
      onError: (error) => options.report(`cannot store a request: ${(error as Error).message}`),
    },
    async ({ encoding, body }) => {
      const rejectedRecords = rebuilder.take(encoding, body);
      await output.ready();
      await rejects?.ready();
      if (rejectedRecords === 0) return undefined;
      return { rejectedRecords, message: "records that are not valid Runtime Evidence v1" };
    },
  );
  const text = (address: { address: string; port: number; family: string } | undefined) =>
    address &&
    (address.family === "IPv6"
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`);
  return {
    grpcAddress: text(receiver.grpcAddress),
    httpAddress: text(receiver.httpAddress),
    counts: rebuilder.counts,
    refusedRequests: () => refused,
    close: async () => {
      await receiver.close();
      await closeAll(output, rejects);
    },
  };
}
