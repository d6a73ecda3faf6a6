/** A Loki of a few lines for what a real one does not do on command: pages, refusals, silence. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeEntry {
  readonly timeNs: bigint;
  readonly stream: Readonly<Record<string, string>>;
  readonly line: string;
}

export interface FakeQuery {
  readonly request: IncomingMessage;
  readonly query: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly limit: number;
}

/** Answers a query itself, and says true, or leaves that to the fake. */
type Interfere = (query: FakeQuery, response: ServerResponse) => boolean;

export interface FakeLoki {
  readonly url: string;
  readonly queries: readonly FakeQuery[];
  close(): Promise<void>;
}

/** Serves `entries` as Loki does: start inclusive, end exclusive, the earliest `limit`, grouped by stream. */
export async function startFakeLoki(
  entries: readonly FakeEntry[],
  interfere: Interfere = () => false,
): Promise<FakeLoki> {
  const queries: FakeQuery[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://loki");
    const parameter = (name: string) => url.searchParams.get(name) ?? "";
    const query: FakeQuery = {
      request,
      query: parameter("query"),
      startNs: BigInt(parameter("start")),
      endNs: BigInt(parameter("end")),
      limit: Number(parameter("limit")),
    };
    queries.push(query);
    if (!interfere(query, response)) response.end(JSON.stringify(answer(entries, query)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    queries,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(entries: readonly FakeEntry[], { startNs, endNs, limit }: FakeQuery): object {
  const page = entries
    .filter(({ timeNs }) => timeNs >= startNs && timeNs < endNs)
    .sort((one, other) => Number(one.timeNs - other.timeNs))
    .slice(0, limit);
  const streams = new Map<string, { stream: object; values: unknown[] }>();
  for (const { stream, line, timeNs } of page) {
    const key = JSON.stringify(stream);
    const group = streams.get(key) ?? { stream, values: [] };
    streams.set(key, group);
    group.values.push([String(timeNs), line, { structuredMetadata: { line } }]);
  }
  return { status: "success", data: { resultType: "streams", result: [...streams.values()], stats: {} } };
}
