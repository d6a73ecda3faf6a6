/** Requests and senders for tests of delivery. */
import type { SealedRequest, Sender, SendOutcome } from "../../src/delivery/outcome.ts";
import { steadyUnixMs } from "../../src/delivery/steady-clock.ts";
import { eventSlots } from "../../src/otlp/attribute-slot.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";

/** A request whose body is a valid protobuf message of exactly `bytes` bytes (unknown field 15, zeros). */
export function sealed(bytes: number, recordCount = 1): SealedRequest {
  return { body: unknownField(bytes), recordCount, sealedAtUnixMs: steadyUnixMs() };
}

function unknownField(bytes: number): Buffer {
  if (bytes < 2) return Buffer.alloc(0);
  const length: number[] = [];
  let lengthBytes = 1;
  while (bytes - 1 - lengthBytes >= 2 ** (7 * lengthBytes)) lengthBytes += 1;
  let rest = bytes - 1 - lengthBytes;
  for (let index = 0; index < lengthBytes; index++) {
    length.push((rest & 0x7f) | (index < lengthBytes - 1 ? 0x80 : 0));
    rest >>>= 7;
  }
  return Buffer.concat([Buffer.from([0x7a, ...length]), Buffer.alloc(bytes - 1 - lengthBytes)]);
}

const resources = createResourceSource({ "service.name": "test" });

/** Sequence numbers and, of each record, how many bytes of path it has. */
export interface RecordsOptions {
  readonly streamId?: string;
  readonly first?: number;
  readonly pathBytes?: (index: number) => number;
  /** Two resources in turns, as on a machine with containers. */
  readonly twoResources?: boolean;
}

/** A request as a capture seals it: `count` file_opens with uids. */
export function sealedRecords(count: number, options: RecordsOptions = {}): SealedRequest {
  const { streamId = "stream", first = 1, pathBytes = () => 20, twoResources = false } = options;
  const builder = new RequestBuilder();
  for (let index = 0; index < count; index++) {
    const container = twoResources && index % 2 === 1 ? `docker://${"ab".repeat(32)}` : undefined;
    const writer = builder.use(resources.resourceFor(container, undefined));
    writer.begin("file_open", 1, 2, 3, 4, 9);
    writer.text(eventSlots.file_open.path, "/".padEnd(pathBytes(index), "p"));
    writer.uid(streamId, first + index);
    writer.end();
  }
  return {
    ...builder.seal(),
    sealedAtUnixMs: steadyUnixMs(),
    streamId,
    firstSequence: first,
    lastSequence: first + count - 1,
  };
}

/** The sequence numbers of the records in a body, in its order. */
export function sequencesIn(body: Buffer): number[] {
  return decodeRequest(body).map(({ attributes }) =>
    Number(String(attributes.get("log.record.uid")).split("-")[1]),
  );
}

/** A request that can be told from others by its single byte of body. */
export function numbered(number: number): SealedRequest {
  return { body: Buffer.from([number]), recordCount: 1, sealedAtUnixMs: steadyUnixMs() };
}

/** The number of a `numbered` request. */
export function numberOf(request: SealedRequest | undefined): number | undefined {
  return request?.body[0];
}

export const ACCEPTED: SendOutcome = { kind: "accepted", rejectedRecords: 0, message: "" };

/** A sender that does what `answer` says, and remembers what it was given. */
export class ScriptedSender implements Sender {
  readonly sent: SealedRequest[] = [];
  inFlight = 0;
  inFlightMax = 0;
  closed = false;
  readonly #answer: (request: SealedRequest, attempt: number, signal: AbortSignal) => Promise<SendOutcome>;

  constructor(
    answer: (request: SealedRequest, attempt: number, signal: AbortSignal) => Promise<SendOutcome>,
  ) {
    this.#answer = answer;
  }

  async send(request: SealedRequest, signal: AbortSignal): Promise<SendOutcome> {
    this.sent.push(request);
    const attempt = this.sent.filter((other) => other === request).length;
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    try {
      return await this.#answer(request, attempt, signal);
    } finally {
      this.inFlight -= 1;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
