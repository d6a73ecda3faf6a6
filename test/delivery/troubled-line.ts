/** A line between an exporter and a collector that slows down, goes silent or breaks as a test needs. */
import { connect, type Socket } from "node:net";
import { type RunningServer, socketServer } from "./servers.ts";

export interface TroubledLine extends RunningServer {
  /** Connections that were made. */
  connections: number;
  /** How fast bytes reach the collector, over all connections; infinite at first. */
  bytesPerSecond: number;
  /** Every connection is reset once this many of its bytes have reached the collector. */
  resetAfterBytes: number;
  /** How often it does so. */
  resetsMax: number;
  /** How often it has. */
  resets: number;
  /** From now on nothing passes on the connections that are there; new ones are not concerned. */
  silence(): void;
}

/** Forwards to a port of loopback. */
export async function troubledLine(port: number): Promise<TroubledLine> {
  const silent = new Set<Socket>();
  const open = new Set<Socket>();
  // Time at which the line has carried everything it was given.
  let busyUntilMs = 0;
  const server = await socketServer((socket) => {
    line.connections += 1;
    const collector = connect(port, "localhost");
    open.add(socket);
    let bytes = 0;
    const end = () => {
      open.delete(socket);
      socket.destroy();
      collector.destroy();
    };
    for (const side of [socket, collector]) side.on("error", end).on("close", end);
    collector.on("data", (chunk) => !silent.has(socket) && socket.write(chunk));
    socket.on("data", (chunk: Buffer) => {
      if (silent.has(socket)) return;
      bytes += chunk.length;
      if (bytes > line.resetAfterBytes) {
        line.resets += 1;
        if (line.resets >= line.resetsMax) line.resetAfterBytes = Number.POSITIVE_INFINITY;
        socket.resetAndDestroy();
        return;
      }
      if (line.bytesPerSecond === Number.POSITIVE_INFINITY) return void collector.write(chunk);
      busyUntilMs = Math.max(busyUntilMs, performance.now()) + (chunk.length / line.bytesPerSecond) * 1000;
      socket.pause();
      setTimeout(
        () => {
          collector.write(chunk);
          socket.resume();
        },
        Math.max(0, busyUntilMs - performance.now()),
      );
    });
  });
  const line: TroubledLine = {
    ...server,
    connections: 0,
    bytesPerSecond: Number.POSITIVE_INFINITY,
    resetAfterBytes: Number.POSITIVE_INFINITY,
    resetsMax: Number.POSITIVE_INFINITY,
    resets: 0,
    silence: () => {
      for (const socket of open) silent.add(socket);
    },
  };
  return line;
}
