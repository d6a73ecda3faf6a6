/**
 * Options about how v1 records become log records: clock, stream, limits of a store.
 */
import { randomBytes } from "node:crypto";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { RecordClock } from "../otlp/record-clock.ts";
import { LIMITED_STORES, type LimitedStore } from "../otlp/store-limits.ts";
import { bootTimeOfThisHost } from "../pipeline/base-resource.ts";
import type { EncodingOptions } from "../pipeline/record-encoder.ts";
import { parsePointInTimeNs } from "./point-in-time.ts";

/** Values of the options added by `addEncodingOptions`. */
export interface EncodingFlags {
  clock: RecordClock;
  bootTime?: bigint;
  streamId?: string;
  limits?: LimitedStore;
}

/** Adds the options that v1 as input has. */
export function addEncodingOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--clock <clock>",
        "what ts_ns of v1 counts from; auto: the Unix epoch from 1e18 up, else boot",
      )
        .choices(["auto", "boot", "realtime"])
        .default("auto"),
    )
    .option(
      "--boot-time <time>",
      "when the host of the records booted, for times since boot (default: this host's)",
      parsePointInTimeNs,
    )
    .option(
      "--stream-id <id>",
      "name of the stream, for sending the same inputs again without duplicates; of no others, whose records would be dropped as such. It then does not say its course (default: random)",
      parseStreamId,
    )
    .addOption(
      new Option(
        "--limits <store>",
        "leave out, and name, records that this store would refuse by its defaults",
      ).choices(LIMITED_STORES),
    );
}

/** A part of `log.record.uid`, see `LogRecordWriter.uid`. */
function parseStreamId(text: string): string {
  if (/^[\x21-\x7e]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError("1 to 64 printable ASCII characters without spaces are needed.");
}

export function resolveEncoding(flags: EncodingFlags): EncodingOptions {
  return {
    clock: flags.clock,
    bootTimeUnixNano: flags.bootTime ?? bootTimeOfThisHost(),
    streamId: flags.streamId ?? randomBytes(8).toString("hex"),
    isSentAgain: flags.streamId !== undefined,
    limits: flags.limits,
  };
}
