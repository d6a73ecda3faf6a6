/**
 * Addresses to listen on as people write them on a command line.
 */
import { InvalidArgumentError } from "commander";

export interface ListenAddress {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** `host:port`, `[::1]:port`, or a port alone on loopback; `example` is how it could be written. */
export function parseListenAddress(text: string, example: string): ListenAddress {
  const match = /^(?:(?:\[([0-9a-f:.]+)\]|([^:\s]+)):)?(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new InvalidArgumentError(`write it as ${example}.`);
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
}
