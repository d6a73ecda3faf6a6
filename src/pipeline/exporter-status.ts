/**
 * The status of what runs, put together from those who count.
 */
import type { OtlpOptions } from "../delivery/otlp-options.ts";
import { steadyUnixMs } from "../delivery/steady-clock.ts";
import { type ExporterStatus, probeStatusOf, processStatus } from "../health/exporter-status.ts";
import type { RunningCapture } from "./capture.ts";
import type { RunningExport } from "./export.ts";
import type { OtlpOutlet } from "./otlp-outlet.ts";

/** Values of `otel.component.type` (semantic conventions, docs/registry/attributes/otel.md). */
const SENDER_TYPES = {
  grpc: "otlp_grpc_log_exporter",
  "http/protobuf": "otlp_http_log_exporter",
  "http/json": "otlp_http_json_log_exporter",
} as const satisfies Record<OtlpOptions["protocol"], string>;

/** What sends, by its name in OpenTelemetry's conventions. */
export function senderTypeOf(otlp: OtlpOptions | "discard" | undefined): string {
  return otlp === undefined || otlp === "discard" ? "discard" : SENDER_TYPES[otlp.protocol];
}

/** The status of a capture or a replay, at this moment or after its end. */
export function captureStatus(
  { ledger, flow, sinks }: Pick<RunningCapture, "ledger" | "flow" | "sinks">,
  senderType: string,
): ExporterStatus {
  const { damage, bytesRead, blockedMs } = flow;
  const framesDamaged = damage.malformedFrames + damage.unknownFrames;
  return {
    probes: ledger.balances().map(probeStatusOf),
    pipe: { bytesRead, framesDamaged, blockedMs, probeRestarts: damage.probeRestarts },
    ...(sinks.otlp && outletStatus(sinks.otlp.outlet, senderType)),
    process: processStatus(),
  };
}

/** The status of an export, at this moment or after its end. */
export function exportStatus(
  { counts, ledger, outlet }: Pick<RunningExport, "counts" | "ledger" | "outlet">,
  senderType: string,
): ExporterStatus {
  const { read, invalid, refused } = counts;
  return {
    probes: ledger.balances().map(({ probe, exported, spooled, lost }) => {
      return { probe, exported, spooled, lost, pending: BigInt(outlet.pendingRecords(probe)) };
    }),
    input: { read, invalid, refused },
    ...outletStatus(outlet, senderType),
    process: processStatus(),
  };
}

type DeliveryStatus = Pick<ExporterStatus, "stream" | "queue" | "spool" | "sender">;

function outletStatus(outlet: OtlpOutlet, senderType: string): DeliveryStatus {
  const { streamId, lastSequence, lossesPending, recordsDropped, opened, earlier } = outlet;
  const { requests, records } = opened.queue.stats();
  const inFlight = outlet.inFlight();
  const { recordsLost, recordsRejected, ...counters } = outlet.counters();
  const spool = opened.disk?.spoolStats();
  return {
    stream: { streamId, lastSequence, lossesPending },
    queue: {
      type: spool === undefined ? "memory" : "disk",
      requests,
      records,
      oldestAgeMs: Math.max(0, steadyUnixMs() - (inFlight.oldestSealedAtUnixMs ?? steadyUnixMs())),
      room: opened.room(),
      recordsDropped,
    },
    spool: spool && {
      bytesWritten: spool.bytesWritten,
      recordsRecovered: earlier.recovered,
      damagedFiles: spool.damagedFiles,
      failures: spool.failures,
    },
    sender: {
      type: senderType,
      recordsInFlight: inFlight.records,
      recordsFailed: new Map<string, number>(
        recordsRejected > 0 ? [...recordsLost, ["rejected", recordsRejected]] : recordsLost,
      ),
      ...counters,
    },
  };
}
