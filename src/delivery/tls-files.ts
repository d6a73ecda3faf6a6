/**
 * TLS material for a sender, read at once: the process may give up the right to read these files right after.
 */
import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { RuntimeEvidenceError } from "../evidence/error.ts";
import type { TlsFiles } from "./otlp-options.ts";

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
