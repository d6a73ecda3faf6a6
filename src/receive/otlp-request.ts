/** What the receiver hands on, and what it is told about it. */

/** The encoding of a request; its answer has the same. */
export type RequestEncoding = "protobuf" | "json";

/** One `ExportLogsServiceRequest` as it came, decompressed, not decoded. */
export interface OtlpRequest {
  readonly encoding: RequestEncoding;
  readonly body: Buffer;
}

/** Some records were not taken and must not be sent again (OTLP partial success). */
export interface Rejection {
  readonly rejectedRecords: number;
  readonly message: string;
}

/**
 * Takes a request; the client is answered when it resolves. A RuntimeEvidenceError thrown by it is answered by
 * its code: `bad-input` as the client's fault (400, INVALID_ARGUMENT), `limit` and `io` as a passing state
 * (503, UNAVAILABLE), so that the client sends again. Anything else is 500, INTERNAL, without details.
 */
export type OnRequest = (request: OtlpRequest) => Promise<Rejection | undefined> | Promise<void>;

/** A failure as it is answered. */
export interface Refusal {
  readonly httpStatus: number;
  /** gRPC status code (grpc/grpc doc/statuscodes.md); also the `code` in a `google.rpc.Status` over HTTP. */
  readonly grpcCode: number;
  readonly message: string;
  readonly retryAfterSeconds?: number;
}
