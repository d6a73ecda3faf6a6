import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { ServerCredentials } from "@grpc/grpc-js";
import { createSender } from "../../src/delivery/create-sender.ts";
import type { OtlpOverrides } from "../../src/delivery/otlp-environment.ts";
import type { OtlpProtocol } from "../../src/delivery/otlp-options.ts";
import type { SendOutcome } from "../../src/delivery/outcome.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";
import { type Certificates, makeCertificates, pem } from "./certificates.ts";
import { sealed } from "./sealed.ts";
import { grpcServer, httpServer, optionsFor, type RunningServer } from "./servers.ts";

const never = new AbortController().signal;

interface ServerTls {
  readonly certificate: string;
  /** Ask clients for a certificate of this CA. */
  readonly clientCa?: string;
}

for (const protocol of ["grpc", "http/protobuf"] as const) {
  describe(`TLS of the ${protocol} sender`, () => {
    let certificates: Certificates;
    let server: RunningServer | undefined;
    before(() => {
      certificates = makeCertificates();
    });
    after(() => certificates.remove());
    afterEach(async () => {
      await server?.close();
      server = undefined;
    });

    async function sendTo(tls: ServerTls, overrides: OtlpOverrides): Promise<SendOutcome> {
      server = await tlsServer(protocol, certificates.serverKey, tls);
      const sender = createSender(optionsFor(protocol, server.port, { tls: true, ...overrides }));
      try {
        return await sender.send(sealed(100), never);
      } finally {
        await sender.close();
      }
    }

    it("delivers to a server whose CA is given", async () => {
      const outcome = await sendTo(
        { certificate: certificates.serverCertificate },
        { certificateFile: certificates.ca },
      );
      assert.equal(outcome.kind, "accepted");
    });

    it("does not deliver to a server whose CA is unknown, and says why", async () => {
      const outcome = await sendTo({ certificate: certificates.serverCertificate }, {});
      assert.equal(outcome.kind, "retryable");
      assert.match(("message" in outcome && outcome.message) || "", /certificate/);
    });

    it("does not deliver to a server whose certificate is another host's", async () => {
      const outcome = await sendTo(
        { certificate: certificates.otherHostCertificate },
        { certificateFile: certificates.ca },
      );
      assert.equal(outcome.kind, "retryable");
      assert.match(("message" in outcome && outcome.message) || "", /altnames/);
    });

    it("does not deliver to a server whose certificate has expired", async () => {
      const outcome = await sendTo(
        { certificate: certificates.expiredCertificate },
        { certificateFile: certificates.ca },
      );
      assert.equal(outcome.kind, "retryable");
      assert.match(("message" in outcome && outcome.message) || "", /expired/);
    });

    it("delivers with a client certificate to a server that wants one", async () => {
      const outcome = await sendTo(
        { certificate: certificates.serverCertificate, clientCa: certificates.ca },
        {
          certificateFile: certificates.ca,
          clientKeyFile: certificates.clientKey,
          clientCertificateFile: certificates.clientCertificate,
        },
      );
      assert.equal(outcome.kind, "accepted");
    });

    it("does not deliver without a client certificate to a server that wants one", async () => {
      const outcome = await sendTo(
        { certificate: certificates.serverCertificate, clientCa: certificates.ca },
        { certificateFile: certificates.ca },
      );
      assert.equal(outcome.kind, "retryable");
    });

    it("reads its files when it is created, and goes on without them", async () => {
      const own = makeCertificates();
      server = await tlsServer(protocol, own.serverKey, { certificate: own.serverCertificate });
      const options = optionsFor(protocol, server.port, { tls: true, certificateFile: own.ca });
      const sender = createSender(options);
      own.remove();
      assert.equal((await sender.send(sealed(100), never)).kind, "accepted");
      await sender.close();
      assert.throws(
        () => createSender(options),
        isError("not-found", /^cannot read the CA certificate .*ca\.pem: ENOENT$/),
      );
    });

    it("refuses files that cannot be used, by name and without their contents", () => {
      const { clientKey, clientCertificate, serverKey, ca } = certificates;
      const noPem = `${ca}.txt`;
      writeFileSync(noPem, "s3cr3t");
      const create = (overrides: OtlpOverrides) => () =>
        createSender(optionsFor(protocol, 1, { tls: true, ...overrides }));
      assert.throws(create({ clientKeyFile: clientKey }), isError("usage", /needs its key/));
      assert.throws(create({ certificateFile: noPem }), isError("usage", /not a PEM certificate/));
      const mismatch = { clientKeyFile: serverKey, clientCertificateFile: clientCertificate };
      assert.throws(create(mismatch), isError("usage", /cannot use .*server\.key/));
      const noKey = { clientKeyFile: noPem, clientCertificateFile: clientCertificate };
      assert.throws(create(noKey), isError("usage", /cannot use/));
    });
  });
}

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof RuntimeEvidenceError &&
    error.code === code &&
    message.test(error.message) &&
    !error.message.includes("s3cr3t");
}

async function tlsServer(protocol: OtlpProtocol, keyFile: string, tls: ServerTls): Promise<RunningServer> {
  const [key, cert] = pem(keyFile, tls.certificate) as [Buffer, Buffer];
  const [ca] = tls.clientCa === undefined ? [] : pem(tls.clientCa);
  if (protocol === "grpc") {
    const pair = [{ private_key: key, cert_chain: cert }];
    const credentials = ServerCredentials.createSsl(ca ?? null, pair, ca !== undefined);
    return grpcServer((_call, respond) => respond(null, Buffer.alloc(0)), credentials);
  }
  return httpServer((_request, response) => response.end(), {
    key,
    cert,
    ...(ca && { ca, requestCert: true }),
  });
}
