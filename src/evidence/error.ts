/**
 * The one error class of this project: a closed code that callers can switch on, a sentence a person can
 * act on, the facts behind it, and the cause.
 */

/** Every way in which something can fail; an exit code belongs to each (see `src/cli/exit-code.ts`). */
export type ErrorCode =
  /** An option, environment variable or argument that makes no sense. */
  | "usage"
  /** Input that is not what it claims to be: a file, a frame stream, an OTLP body. */
  | "bad-input"
  /** Frames of another protocol version or layout than this build reads. */
  | "protocol-mismatch"
  /** This kernel or user does not allow what was asked for. */
  | "not-permitted"
  /** A program or file that is needed is not there. */
  | "not-found"
  /** The probe ended or failed by itself. */
  | "probe-failed"
  /** The collector refused or could not be reached. */
  | "delivery-failed"
  /** A documented limit was reached. */
  | "limit"
  /** Whoever reads our output has seen enough (`| head`): no failure of ours. */
  | "output-closed"
  /** Reading or writing failed in the operating system. */
  | "io";

/** A fact about an error that is safe to show: never a secret, never unbounded workload input. */
export type ErrorContext = Readonly<Record<string, string | number | bigint | boolean>>;

/** An error of this project. `message` is one line for people; `code` and `context` are for programs. */
export class RuntimeEvidenceError extends Error {
  override readonly name = "RuntimeEvidenceError";
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, options: { context?: ErrorContext; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.context = options.context ?? {};
  }

  /** Wraps anything thrown; an error of this project is returned as it is. */
  static from(thrown: unknown, code: ErrorCode = "io"): RuntimeEvidenceError {
    if (thrown instanceof RuntimeEvidenceError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new RuntimeEvidenceError(code, message, { cause: thrown });
  }
}
