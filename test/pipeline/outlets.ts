/** Outlets over a spool, and collectors that listen to them, for tests. */
import type { SealedRequest, Sender, SendOutcome } from "../../src/delivery/outcome.ts";
import { Ledger } from "../../src/health/ledger.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";
import { type ControlRecord, toEvidence } from "../../src/otlp/to-evidence.ts";
import { type OtlpOutlet, type OtlpOutletOptions, openOtlpOutlet } from "../../src/pipeline/otlp-outlet.ts";

export const ACCEPTED: SendOutcome = { kind: "accepted", rejectedRecords: 0, message: "" };
export const DOWN: SendOutcome = { kind: "retryable", reason: "down" };

const resource = createResourceSource({ "service.name": "test" }).resourceFor(undefined, undefined);

/** A collector that answers as it is told. */
export function answering(outcome: (request: SealedRequest) => SendOutcome): Sender {
  return { send: async (request) => outcome(request), close: async () => {} };
}

/** A collector, and the control records of what it has accepted. */
export function listening(outcome: (request: SealedRequest) => SendOutcome = () => ACCEPTED) {
  const said: ControlRecord[] = [];
  const sender = answering((request) => {
    const answer = outcome(request);
    if (answer.kind === "accepted" && answer.rejectedRecords === 0) said.push(...controlsIn(request.body));
    return answer;
  });
  return { sender, said };
}

function controlsIn(body: Buffer): ControlRecord[] {
  return decodeRequest(body).flatMap((decoded) => {
    const reversed = toEvidence(decoded);
    return reversed.kind === "control" ? [reversed] : [];
  });
}

/** An outlet over the spool of a directory, or over memory; by default everything is accepted. */
export function openOutlet(
  directory: string | undefined,
  options: Partial<OtlpOutletOptions> & Pick<OtlpOutletOptions, "streamId">,
): Promise<OtlpOutlet> {
  const spool = directory === undefined ? undefined : { directory, fsync: "never" as const };
  return openOtlpOutlet({
    sender: answering(() => ACCEPTED),
    queue: { spool },
    resource,
    probes: ["file_open"],
    books: new Ledger(["file_open"]),
    report: () => {},
    ...options,
  });
}

/** One more file_open for the outlet. */
export function writeOpen(outlet: OtlpOutlet): void {
  const sequence = outlet.next(0);
  const writer = outlet.builder.use(resource);
  writer.begin("file_open", 1, 2, 3, 4, 9);
  writer.uid(outlet.streamId, sequence);
  writer.end();
  outlet.grown();
}
