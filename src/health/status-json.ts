/**
 * A status as one JSON value for programs. Counts of events are decimal strings, because they are 64 bits wide;
 * all other counts are numbers.
 */
import type {
  ExporterStatus,
  ProbeStatus,
  ProcessStatus,
  QueueStatus,
  SenderStatus,
} from "./exporter-status.ts";

/** `status` as a value for `JSON.stringify`; what there is nothing of is left out. */
export function statusJson(status: ExporterStatus): object {
  const { probes, input, pipe, stream, queue, sender, spool } = status;
  return {
    process: processJson(status.process),
    probes: probes.map(probeJson),
    input,
    pipe: pipe && {
      bytes_read: pipe.bytesRead,
      frames_damaged: pipe.framesDamaged,
      blocked_s: seconds(pipe.blockedMs),
      probe_restarts: pipe.probeRestarts,
    },
    stream: stream && {
      id: stream.streamId,
      last_sequence: stream.lastSequence,
      losses_pending: stream.lossesPending,
    },
    queue: queue && queueJson(queue),
    spool: spool && {
      bytes_written: spool.bytesWritten,
      records_recovered: spool.recordsRecovered,
      files_damaged: spool.damagedFiles,
      errors: Object.fromEntries(spool.failures),
    },
    sender: sender && senderJson(sender),
  };
}

/** What a process takes; the part that every status has. */
export function processJson({ uptimeMs, rssBytes, cpuUserMs, cpuSystemMs }: ProcessStatus): object {
  return {
    pid: process.pid,
    uptime_s: seconds(uptimeMs),
    rss_bytes: rssBytes,
    cpu_s: seconds(cpuUserMs + cpuSystemMs),
  };
}

function probeJson({ probe, kernel, exported, spooled, lost, pending }: ProbeStatus): object {
  return {
    probe,
    ...(kernel && {
      seen: String(kernel.seen),
      filtered: String(kernel.filtered),
      emitted: String(kernel.emitted),
    }),
    exported: String(exported),
    spooled: String(spooled),
    lost: Object.fromEntries(Array.from(lost, ([reason, count]) => [reason, String(count)])),
    pending: String(pending),
  };
}

function queueJson({ type, requests, records, oldestAgeMs, room, recordsDropped }: QueueStatus): object {
  return {
    type,
    requests,
    records,
    oldest_age_s: seconds(oldestAgeMs),
    room: room.map(({ type: where, bytes, bytesMax }) => ({ type: where, bytes, bytes_max: bytesMax })),
    records_dropped: Object.fromEntries(recordsDropped),
  };
}

function senderJson(sender: SenderStatus): object {
  return {
    type: sender.type,
    records_in_flight: sender.recordsInFlight,
    records_accepted: sender.recordsAccepted,
    records_failed: Object.fromEntries(sender.recordsFailed),
    records_dead_lettered: sender.recordsDeadLettered,
    requests_accepted: sender.requestsAccepted,
    attempts_failed: Object.fromEntries(sender.attemptsFailed),
    retries: sender.retries,
    requests_split: sender.requestsSplit,
    bytes_accepted: sender.bytesAccepted,
  };
}

/** Milliseconds as seconds with three decimals. */
function seconds(durationMs: number): number {
  return Math.round(durationMs) / 1000;
}
