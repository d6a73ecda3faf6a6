/** Keys and certificates made for one run of the tests by `openssl`; nothing of it is kept. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificates {
  readonly ca: string;
  readonly serverKey: string;
  readonly serverCertificate: string;
  /** Signed by the CA, but for another host. */
  readonly otherHostCertificate: string;
  /** Signed by the CA for this host, and over since yesterday. */
  readonly expiredCertificate: string;
  readonly clientKey: string;
  readonly clientCertificate: string;
  /** For the same key as `clientCertificate`, in the name of "renewed". */
  readonly renewedClientCertificate: string;
  remove(): void;
}

/** Paths of PEM files in a directory of their own. */
export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-tls-"));
  const path = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const key = (name: string) => {
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", name);
    return path(name);
  };
  const signed = (name: string, keyFile: string, subject: string, extension: string, days = "1") => {
    writeFileSync(path(`${name}.ext`), extension);
    openssl("req", "-new", "-key", keyFile, "-subj", `/CN=${subject}`, "-out", `${name}.csr`);
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-days", days, "-extfile", `${name}.ext`, "-out", name],
    );
    return path(name);
  };
  key("ca.key");
  openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=test CA", "-days", "1", "-out", "ca.pem");
  const serverKey = key("server.key");
  const clientKey = key("client.key");
  const local = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";
  return {
    ca: path("ca.pem"),
    serverKey,
    serverCertificate: signed("server.pem", serverKey, "localhost", local),
    expiredCertificate: signed("expired.pem", serverKey, "localhost", local, "-1"),
    otherHostCertificate: signed("other.pem", serverKey, "other", "subjectAltName=DNS:collector.example"),
    clientKey,
    clientCertificate: signed("client.pem", clientKey, "client", "extendedKeyUsage=clientAuth"),
    renewedClientCertificate: signed("renewed.pem", clientKey, "renewed", "extendedKeyUsage=clientAuth"),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

/** Reads several files at once. */
export function pem(...files: string[]): Buffer[] {
  return files.map((file) => readFileSync(file));
}
