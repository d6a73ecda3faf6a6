/**
 * TLS material for a sender. It is read at once, because the process may give up the right to read these files right
 * after, and read again when a file changes, because certificates are renewed while evidence flows.
 */
import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import { FileChange } from "./file-change.ts";
import type { RenewalOptions, TlsFiles } from "./otlp-options.ts";

/**
 * Reads and checks the PEM files. Without a CA file the roots that come with Node are trusted.
 * Throws RuntimeEvidenceError `usage` (a key without certificate or the other way round, not PEM, key and
 * certificate that do not belong together), `not-found`, `not-permitted` or `io`; no message has file contents.
 */
export function loadTls(files: TlsFiles): SecureContext {
  if ((files.clientKeyFile === undefined) !== (files.clientCertificateFile === undefined)) {
    throw new RuntimeEvidenceError("usage", "a client certificate needs its key, and a key its certificate");
  }
  const ca = read(files.certificateFile, "the CA certificate");
  const key = read(files.clientKeyFile, "the client key");
  const cert = read(files.clientCertificateFile, "the client certificate");
  if (ca !== undefined && !ca.includes("-----BEGIN")) throw notPem(files.certificateFile);
  try {
    return createSecureContext({ ...(ca && { ca }), ...(key && { key }), ...(cert && { cert }) });
  } catch (thrown) {
    const named = [files.certificateFile, files.clientKeyFile, files.clientCertificateFile].filter(Boolean);
    const why = thrown instanceof Error ? thrown.message : "unknown";
    throw new RuntimeEvidenceError("usage", `cannot use ${named.join(", ")} for TLS: ${why}`, {
      cause: thrown,
    });
  }
}

/** The current TLS material of a sender. */
export class TlsMaterial {
  readonly #files: TlsFiles;
  readonly #change: FileChange;
  readonly #onTrouble: (line: string) => void;
  #context: SecureContext;

  /** Reads the files, and throws as `loadTls` does. Later trouble keeps the old material and says so. */
  constructor(files: TlsFiles, renewal: RenewalOptions) {
    const { certificateFile, clientKeyFile, clientCertificateFile } = files;
    this.#files = files;
    this.#onTrouble = renewal.onTrouble ?? (() => {});
    this.#change = new FileChange(
      [certificateFile, clientKeyFile, clientCertificateFile].filter((file) => file !== undefined),
      renewal,
    );
    this.#context = loadTls(files);
  }

  get context(): SecureContext {
    return this.#context;
  }

  /** Reads the files again if one has changed; true when there is new material. */
  refresh(): boolean {
    if (!this.#change.happened()) return false;
    try {
      this.#context = loadTls(this.#files);
      return true;
    } catch (thrown) {
      this.#onTrouble(
        `${RuntimeEvidenceError.from(thrown).message}; the certificates read before stay in use`,
      );
      return false;
    }
  }
}

function read(file: string | undefined, what: string): Buffer | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (thrown) {
    const errno = (thrown as NodeJS.ErrnoException).code;
    const code = errno === "ENOENT" ? "not-found" : errno === "EACCES" ? "not-permitted" : "io";
    throw new RuntimeEvidenceError(code, `cannot read ${what} ${file}: ${errno}`, { cause: thrown });
  }
}

function notPem(file: string | undefined): RuntimeEvidenceError {
  return new RuntimeEvidenceError("usage", `cannot use ${file} for TLS: it is not a PEM certificate`);
}
