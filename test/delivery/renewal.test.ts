/** What changes while evidence flows: certificates, headers, the address behind a name. */
import assert from "node:assert/strict";
import dns from "node:dns";
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import { createSender } from "../../src/delivery/create-sender.ts";
import { readHeadersFile } from "../../src/delivery/headers-file.ts";
import type { OtlpOverrides } from "../../src/delivery/otlp-environment.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { Sender, SendOutcome } from "../../src/delivery/outcome.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { type Certificates, makeCertificates, pem } from "./certificates.ts";
import { sealed } from "./sealed.ts";
import { grpcFailure, grpcServer, httpServer, optionsFor, type RunningServer } from "./servers.ts";

const never = new AbortController().signal;

/** One request as a collector sees it. */
interface Seen {
  readonly token: string;
  /** The name in the client's certificate. */
  readonly client: string;
  /** The collector's own address. */
  readonly address: string;
}

for (const protocol of ["grpc", "http/protobuf"] as const) {
  describe(`while evidence flows by ${protocol}`, () => {
    let certificates: Certificates;
    let directory: string;
    let sender: Sender | undefined;
    const servers: RunningServer[] = [];
    let lines: string[];
    let seen: Seen[];
    before(() => {
      certificates = makeCertificates();
    });
    after(() => certificates.remove());
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "runtime-evidence-renewal-"));
      [lines, seen] = [[], []];
    });
    afterEach(async () => {
      await sender?.close();
      for (const server of servers.splice(0)) await server.close();
      rmSync(directory, { recursive: true });
    });

    const path = (name: string) => join(directory, name);
    const tokens = () => seen.map(({ token }) => token);
    const clients = () => seen.map(({ client }) => client);

    /** A collector that knows its clients, and refuses the token "old" where it is told to. */
    async function collector(options: { tls?: boolean; refuse?: string; host?: string; port?: number } = {}) {
      const server = await startCollector(
        protocol,
        options,
        options.tls ? certificates : undefined,
        (request) => {
          seen.push(request);
          return request.token !== options.refuse;
        },
      );
      servers.push(server);
      return server.port;
    }

    function start(port: number, overrides: OtlpOverrides & { tls?: boolean }): void {
      const onTrouble = (line: string) => void lines.push(line);
      sender = createSender(optionsFor(protocol, port, overrides), {
        ...{ onTrouble, fileCheckIntervalMs: 0, addressCheckIntervalMs: 0 },
      });
    }

    const send = async (): Promise<SendOutcome["kind"]> =>
      (await sender?.send(sealed(100), never))?.kind ?? "permanent";

    describe("a client certificate", () => {
      let port: number;
      beforeEach(async () => {
        copyFileSync(certificates.clientCertificate, path("client.pem"));
        copyFileSync(certificates.clientKey, path("client.key"));
        port = await collector({ tls: true });
        start(port, {
          tls: true,
          certificateFile: certificates.ca,
          clientKeyFile: path("client.key"),
          clientCertificateFile: path("client.pem"),
        });
        assert.equal(await send(), "accepted");
      });

      it("is used when it is renewed, without a restart and without a lost request", async () => {
        copyFileSync(certificates.renewedClientCertificate, path("client.pem"));
        const kinds = [await send(), await send()];
        assert.deepEqual(kinds, ["accepted", "accepted"]);
        assert.deepEqual(clients(), ["client", "renewed", "renewed"]);
        assert.deepEqual(lines, []);
      });

      it("is kept while the new one is broken, which is said once, and replaced when that is mended", async () => {
        writeFileSync(path("client.pem"), "s3cr3t");
        assert.deepEqual([await send(), await send()], ["accepted", "accepted"]);
        assert.deepEqual(clients(), ["client", "client", "client"]);
        assert.equal(lines.length, 1);
        assert.match(
          lines[0] ?? "",
          /^cannot use .*client\.pem.* for TLS: .*; the certificates read before stay in use$/,
        );
        assert.ok(!lines[0]?.includes("s3cr3t"));
        copyFileSync(certificates.renewedClientCertificate, path("client.pem"));
        await send();
        assert.equal(clients().at(-1), "renewed");
      });

      it("is kept when its files go away or may not be read any more", async () => {
        rmSync(path("client.key"));
        assert.equal(await send(), "accepted");
        assert.match(lines[0] ?? "", /^cannot read the client key .*client\.key: ENOENT; .* stay in use$/);
      });
    });

    it("a new CA is trusted as soon as its file is there", async () => {
      const port = await collector({ tls: true });
      const other = makeCertificates();
      try {
        copyFileSync(other.ca, path("ca.pem"));
        start(port, {
          tls: true,
          certificateFile: path("ca.pem"),
          clientKeyFile: certificates.clientKey,
          clientCertificateFile: certificates.clientCertificate,
        });
        assert.equal(await send(), "retryable");
        copyFileSync(certificates.ca, path("new.pem"));
        renameSync(path("new.pem"), path("ca.pem"));
        assert.equal(await send(), "accepted");
      } finally {
        other.remove();
      }
    });

    it("headers are read again from their file, which wins over other headers", async () => {
      const port = await collector();
      writeFileSync(path("headers"), "# for the collector\n\nX-Token = one\r\n");
      start(port, { headers: ["x-token=zero"], headersFile: path("headers") });
      await send();
      writeFileSync(path("headers"), "x-token=two%20words\n");
      await send();
      writeFileSync(path("new"), "x-token=three\n");
      renameSync(path("new"), path("headers"));
      await send();
      assert.deepEqual(tokens(), ["one", "two words", "three"]);
    });

    it("headers are kept while their file is broken, which is said once and without their values", async () => {
      const port = await collector();
      writeFileSync(path("headers"), "x-token=s3cr3t\n");
      start(port, { headersFile: path("headers") });
      await send();
      writeFileSync(path("headers"), "x-token=s3cr3t\nhost=s3cr3t-too\n");
      await send();
      await send();
      assert.deepEqual(tokens(), ["s3cr3t", "s3cr3t", "s3cr3t"]);
      assert.equal(lines.length, 1);
      assert.match(
        lines[0] ?? "",
        /headers, line 2: host is set by the exporter itself; the headers read before stay/,
      );
      assert.ok(!lines[0]?.includes("s3cr3t"));
    });

    it("a credential that was renewed a moment ago does not cost a request", async () => {
      const port = await collector({ refuse: "old" });
      writeFileSync(path("headers"), "x-token=old\n");
      const options = optionsFor(protocol, port, { headersFile: path("headers") });
      sender = createSender(options, { fileCheckIntervalMs: 60_000 });
      writeFileSync(path("headers"), "x-token=new\n");
      assert.deepEqual([await send(), await send()], ["retryable", "accepted"]);
      assert.deepEqual(tokens(), ["old", "new"]);
      await sender.close();
      writeFileSync(path("headers"), "x-token=old\n");
      sender = createSender(options, { fileCheckIntervalMs: 60_000 });
      assert.equal(await send(), "permanent", "the file says the same as before");
    });

    it("a name that moves to another address is followed, though the old one still answers", async () => {
      const names = stubNames("127.0.0.1");
      try {
        const port = await collector({ host: "127.0.0.1" });
        await collector({ host: "127.0.0.2", port });
        const { target, ...options } = optionsFor(protocol, port);
        sender = createSender(
          { ...options, target: target.replace("localhost", "collector.test") },
          { addressCheckIntervalMs: 0 },
        );
        for (let count = 0; count < 3; count++) assert.equal(await send(), "accepted");
        names.address = "127.0.0.2";
        assert.deepEqual([await send(), await send()], ["accepted", "accepted"]);
        const addresses = seen.map(({ address }) => address);
        assert.deepEqual(addresses.slice(0, 3), ["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
        assert.equal(addresses.at(-1), "127.0.0.2");
        names.address = undefined;
        for (let count = 0; count < 3; count++)
          assert.equal(await send(), "accepted", "a broken DNS breaks nothing");
      } finally {
        names.restore();
      }
    });
  });
}

describe("a headers file", () => {
  it("is refused with its line or its reason, and never with a value", () => {
    const directory = mkdtempSync(join(tmpdir(), "runtime-evidence-headers-"));
    const path = join(directory, "headers");
    const refuses = (code: string, message: RegExp) =>
      assert.throws(
        () => readHeadersFile(path),
        (thrown) => {
          assert.ok(thrown instanceof RuntimeEvidenceError && thrown.code === code, String(thrown));
          assert.match(thrown.message, message);
          return !thrown.message.includes("s3cr3t");
        },
      );
    try {
      refuses("not-found", /^cannot read the headers file .*: ENOENT$/);
      writeFileSync(path, "x=1\ns3cr3t\n");
      refuses("usage", /headers, line 2: it is not name=value$/);
      writeFileSync(path, "x=s3cr3t%zz\n");
      refuses("usage", /line 1: its value has an invalid percent escape$/);
      writeFileSync(path, `x=${"s3cr3t".repeat(20_000)}`);
      refuses("limit", /has more than 65536 bytes$/);
      writeFileSync(path, "");
      assert.deepEqual(readHeadersFile(path), new Map());
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

/** Answers yes or no, as `accepts` says; over TLS it asks for a certificate of the CA. */
async function startCollector(
  protocol: OtlpProtocol,
  { host = "localhost", port = 0 }: { host?: string; port?: number },
  tls: Certificates | undefined,
  accepts: (request: Seen) => boolean,
): Promise<RunningServer> {
  const [key, cert, ca] = tls ? pem(tls.serverKey, tls.serverCertificate, tls.ca) : [];
  if (protocol === "grpc") {
    const pair = key && cert ? [{ private_key: key, cert_chain: cert }] : [];
    const credentials = ca ? ServerCredentials.createSsl(ca, pair, true) : ServerCredentials.createInsecure();
    return grpcServer(
      (call, respond) => {
        const { sslPeerCertificate } = call.getAuthContext();
        const accepted = accepts({
          token: String(call.metadata.get("x-token")[0] ?? ""),
          client: String(sslPeerCertificate?.subject.CN ?? ""),
          address: host,
        });
        respond(accepted ? null : grpcFailure(16, "who are you?"), Buffer.alloc(0));
      },
      credentials,
      undefined,
      `${host}:${port}`,
    );
  }
  return httpServer(
    (request, response) => {
      const certificate = ca && (request.socket as TLSSocket).getPeerCertificate();
      const accepted = accepts({
        token: String(request.headers["x-token"] ?? ""),
        client: String(certificate?.subject.CN ?? ""),
        address: host,
      });
      request.resume().on("end", () => response.writeHead(accepted ? 200 : 401).end());
    },
    key && cert && ca ? { key, cert, ca, requestCert: true } : undefined,
    { host, port },
  );
}

/** Lets `collector.test` be an address, or nothing; other names are looked up as ever. */
function stubNames(first: string): { address: string | undefined; restore(): void } {
  const { lookup } = dns;
  const promised = dns.promises.lookup;
  const found = (): { address: string; family: number }[] => {
    if (names.address === undefined) throw Object.assign(new Error("ENOTFOUND"), { code: "ENOTFOUND" });
    return [{ address: names.address, family: 4 }];
  };
  const names = {
    address: first as string | undefined,
    restore() {
      dns.lookup = lookup;
      dns.promises.lookup = promised;
    },
  };
  const lookupStub = (
    name: string,
    options: object,
    done: (error: Error | null, ...found: unknown[]) => void,
  ) => {
    if (name !== "collector.test") return lookup(name, options as dns.LookupOptions, done as never);
    try {
      const [only] = found();
      if ((options as { all?: boolean }).all) done(null, found());
      else done(null, only?.address, only?.family);
    } catch (thrown) {
      done(thrown as Error);
    }
  };
  dns.lookup = lookupStub as unknown as typeof dns.lookup;
  dns.promises.lookup = (async (name: string, options: dns.LookupOptions) =>
    name === "collector.test" ? found() : promised(name, options)) as typeof dns.promises.lookup;
  return names;
}
