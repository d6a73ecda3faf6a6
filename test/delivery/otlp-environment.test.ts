import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Environment,
  type OtlpOverrides,
  readOtlpOptions,
} from "../../src/delivery/otlp-environment.ts";
import { describeOtlpOptions, type OtlpOptions } from "../../src/delivery/otlp-options.ts";
import { RuntimeEvidenceError } from "../../src/evidence/error.ts";

/** Short names for the variables: `X` is OTEL_EXPORTER_OTLP_X, `LOGS_X` OTEL_EXPORTER_OTLP_LOGS_X. */
function environment(variables: Record<string, string>): Environment {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [`OTEL_EXPORTER_OTLP_${name}`, value]),
  );
}

function read(variables: Record<string, string>, overrides: OtlpOverrides = {}): OtlpOptions {
  return readOtlpOptions(environment(variables), overrides).options;
}

function warnings(variables: Record<string, string>): readonly string[] {
  return readOtlpOptions(environment(variables)).warnings;
}

describe("OTLP options", () => {
  it("have the defaults of the specification", () => {
    assert.deepEqual(read({}), {
      signal: "logs",
      protocol: "http/protobuf",
      target: "http://localhost:4318/v1/logs",
      secure: false,
      headers: new Map(),
      timeoutMs: 10_000,
      compression: "none",
      tlsFiles: {},
      batchAgeMaxMs: 1000,
    });
    assert.equal(read({ PROTOCOL: "grpc" }).target, "dns:localhost:4317");
    assert.equal(read({ PROTOCOL: "grpc" }).secure, false);
  });

  const targets: [string, Record<string, string>, string, boolean][] = [
    ["a base URL gets the path", { ENDPOINT: "http://c:1" }, "http://c:1/v1/logs", false],
    ["a base URL with slash gets the path", { ENDPOINT: "http://c:1/" }, "http://c:1/v1/logs", false],
    ["a base URL with path gets the path", { ENDPOINT: "https://c/otlp" }, "https://c/otlp/v1/logs", true],
    ["a base URL keeps its query", { ENDPOINT: "https://c/otlp/?a=b" }, "https://c/otlp/v1/logs?a=b", true],
    ["a logs URL is used as it is", { LOGS_ENDPOINT: "http://c:1/x" }, "http://c:1/x", false],
    ["a logs URL without path posts to /", { LOGS_ENDPOINT: "http://c:1" }, "http://c:1/", false],
    ["the logs URL wins", { LOGS_ENDPOINT: "http://l/x", ENDPOINT: "http://g" }, "http://l/x", false],
    ["an empty logs URL is unset", { LOGS_ENDPOINT: " ", ENDPOINT: "http://g" }, "http://g/v1/logs", false],
    [
      "an unusable logs URL falls back",
      { LOGS_ENDPOINT: "c:1", ENDPOINT: "http://g" },
      "http://g/v1/logs",
      false,
    ],
    ["gRPC drops the path", { PROTOCOL: "grpc", ENDPOINT: "http://c:1/x" }, "dns:c:1", false],
    ["gRPC over https is TLS", { PROTOCOL: "grpc", ENDPOINT: "https://c:1" }, "dns:c:1", true],
    ["gRPC over https has port 443", { PROTOCOL: "grpc", ENDPOINT: "https://c" }, "dns:c:443", true],
    ["gRPC keeps an IPv6 address", { PROTOCOL: "grpc", ENDPOINT: "http://[::1]:1" }, "dns:[::1]:1", false],
    ["gRPC without scheme is TLS", { PROTOCOL: "grpc", ENDPOINT: "c:1" }, "dns:c:1", true],
    [
      "gRPC without scheme and insecure",
      { PROTOCOL: "grpc", ENDPOINT: "c:1", INSECURE: "TRUE" },
      "dns:c:1",
      false,
    ],
    ["insecure is true only as true", { PROTOCOL: "grpc", ENDPOINT: "c:1", INSECURE: "1" }, "dns:c:1", true],
    [
      "logs insecure wins",
      { PROTOCOL: "grpc", ENDPOINT: "c:1", INSECURE: "true", LOGS_INSECURE: "false" },
      "dns:c:1",
      true,
    ],
    [
      "insecure does not undo https",
      { PROTOCOL: "grpc", ENDPOINT: "https://c:1", INSECURE: "true" },
      "dns:c:1",
      true,
    ],
    [
      "gRPC takes a socket of its own naming",
      { PROTOCOL: "grpc", ENDPOINT: "unix:/run/x.sock", INSECURE: "true" },
      "unix:/run/x.sock",
      false,
    ],
  ];
  for (const [what, variables, target, secure] of targets) {
    it(what, () => {
      const options = read(variables);
      assert.deepEqual([options.target, options.secure], [target, secure]);
    });
  }

  const flags: [OtlpOverrides, Record<string, string>, string, string][] = [
    [{ endpoint: "http://c:4317" }, {}, "grpc", "dns:c:4317"],
    [{ endpoint: "c:4317" }, {}, "grpc", "dns:c:4317"],
    [{ endpoint: "http://c:4318" }, {}, "http/protobuf", "http://c:4318/v1/logs"],
    [{ endpoint: "http://c:4317", protocol: "http/json" }, {}, "http/json", "http://c:4317/v1/logs"],
    [{ endpoint: "http://c:4317" }, { PROTOCOL: "http/protobuf" }, "http/protobuf", "http://c:4317/v1/logs"],
    [{ endpoint: "http://c/v1/logs" }, {}, "http/protobuf", "http://c/v1/logs"],
    [{ endpoint: "http://c/x/v1/logs/" }, {}, "http/protobuf", "http://c/x/v1/logs/"],
    [
      { endpoint: "http://f" },
      { LOGS_ENDPOINT: "http://l/x", ENDPOINT: "http://g" },
      "http/protobuf",
      "http://f/v1/logs",
    ],
  ];
  for (const [overrides, variables, protocol, target] of flags) {
    it(`flags ${JSON.stringify(overrides)} with ${JSON.stringify(variables)} go to ${target} by ${protocol}`, () => {
      const options = read(variables, overrides);
      assert.deepEqual([options.protocol, options.target], [protocol, target]);
    });
  }

  it("take each of the other variables, the one for logs first, an unparsable one not at all", () => {
    const table: [string, keyof OtlpOptions, [string, unknown], [string, unknown], string][] = [
      ["PROTOCOL", "protocol", ["http/json", "http/json"], ["grpc", "grpc"], "thrift"],
      ["TIMEOUT", "timeoutMs", ["0", 0], ["2500", 2500], "10s"],
      ["COMPRESSION", "compression", ["gzip", "gzip"], ["none", "none"], "zstd"],
    ];
    for (const [name, option, [first, firstValue], [second, secondValue], bad] of table) {
      assert.equal(read({ [name]: first })[option], firstValue);
      assert.equal(read({ [name]: first, [`LOGS_${name}`]: second })[option], secondValue);
      assert.equal(read({ [name]: first, [`LOGS_${name}`]: "" })[option], firstValue);
      assert.equal(read({ [name]: first, [`LOGS_${name}`]: bad })[option], firstValue);
      const [warning] = warnings({ [`LOGS_${name}`]: bad });
      assert.match(warning ?? "", new RegExp(`^OTEL_EXPORTER_OTLP_LOGS_${name} is ignored: `));
    }
  });

  it("take the TLS files, each from where it is set", () => {
    const options = read({
      CERTIFICATE: "/ca",
      LOGS_CLIENT_KEY: "/lk",
      CLIENT_KEY: "/k",
      CLIENT_CERTIFICATE: "/c",
    });
    assert.deepEqual(options.tlsFiles, {
      certificateFile: "/ca",
      clientKeyFile: "/lk",
      clientCertificateFile: "/c",
    });
  });

  it("take the batch age from OTEL_BLRP_SCHEDULE_DELAY", () => {
    assert.equal(readOtlpOptions({ OTEL_BLRP_SCHEDULE_DELAY: "200" }).options.batchAgeMaxMs, 200);
    const bad = readOtlpOptions({ OTEL_BLRP_SCHEDULE_DELAY: "-1" });
    assert.equal(bad.options.batchAgeMaxMs, 1000);
    assert.equal(bad.warnings.length, 1);
  });

  it("decode header values, keep what is right and name what is not by its place", () => {
    const list =
      "Api-Key=a%2Cb%20c, x = y=z ,,broken,bad name=v,esc=%zz,nl=a%0D%0Ab,content-type=text/x,grpc-x=1";
    const { options, warnings: lines } = readOtlpOptions(environment({ HEADERS: list }));
    assert.deepEqual(
      [...options.headers],
      [
        ["api-key", "a,b c"],
        ["x", "y=z"],
      ],
    );
    assert.equal(lines.length, 6);
    assert.ok(
      lines.every((line) => line.startsWith("OTEL_EXPORTER_OTLP_HEADERS, header ")),
      lines.join("\n"),
    );
  });

  it("let logs headers replace the generic ones, and flags add to them", () => {
    const variables = { HEADERS: "a=1,b=2", LOGS_HEADERS: "c=3" };
    assert.deepEqual([...read(variables).headers], [["c", "3"]]);
    assert.deepEqual(
      [...read(variables, { headers: ["D=4", "c=5"] }).headers],
      [
        ["c", "5"],
        ["d", "4"],
      ],
    );
  });

  const refused: OtlpOverrides[] = [
    { protocol: "thrift" },
    { compression: "br" },
    { timeoutMs: -1 },
    { timeoutMs: 1.5 },
    { timeoutMs: 2 ** 31 },
    { headers: ["nothing"] },
    { endpoint: "c:4318" },
    { endpoint: "ftp://c" },
    { endpoint: "http://" },
    { endpoint: "http://user:pw@c:4318" },
    { endpoint: "c:1/x", protocol: "grpc" },
  ];
  for (const overrides of refused) {
    it(`refuse the flags ${JSON.stringify(overrides)}`, () => {
      assert.throws(
        () => readOtlpOptions({}, overrides),
        (error) =>
          error instanceof RuntimeEvidenceError && error.code === "usage" && !/pw/.test(error.message),
      );
    });
  }

  it("warn when the port says gRPC and nothing else does", () => {
    assert.match(warnings({ ENDPOINT: "http://c:4317" })[0] ?? "", /OTEL_EXPORTER_OTLP_PROTOCOL=grpc/);
    assert.deepEqual(warnings({ ENDPOINT: "http://c:4317", PROTOCOL: "grpc" }), []);
    assert.deepEqual(warnings({ ENDPOINT: "http://c:43170" }), []);
  });

  it("never show a secret: not in warnings, errors or the description", () => {
    const secret = "s3cr3t";
    const list = `authorization=Bearer%20${secret},bad name=${secret},${secret},esc=%zz${secret}`;
    const { options, warnings: lines } = readOtlpOptions(
      environment({
        HEADERS: list,
        LOGS_ENDPOINT: `http://u:${secret}@c`,
        ENDPOINT: `https://c/?token=${secret}`,
      }),
    );
    const shown = [...lines, describeOtlpOptions(options)].join("\n");
    assert.ok(!shown.includes(secret), shown);
    assert.match(
      describeOtlpOptions(options),
      /^http\/protobuf, to https:\/\/c\/v1\/logs, TLS, headers authorization=\[redacted\], timeout 10000 ms$/,
    );
    assert.throws(
      () => readOtlpOptions({}, { headers: [`bad name=${secret}`] }),
      (error) => error instanceof RuntimeEvidenceError && !error.message.includes(secret),
    );
  });

  it("take a headers file from the command line, and name it", () => {
    const options = read({}, { headersFile: "/run/secrets/headers" });
    assert.equal(options.headersFile, "/run/secrets/headers");
    assert.match(describeOtlpOptions(options), /, headers of \/run\/secrets\/headers, timeout/);
  });

  it("never fail on what the environment holds", () => {
    const names = ["ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "INSECURE", "CERTIFICATE"];
    const variables = fc.dictionary(
      fc.constantFrom(...names, ...names.map((name) => `LOGS_${name}`)),
      fc.oneof(
        fc.string(),
        fc.webUrl({ validSchemes: ["http", "https", "ftp"] }),
        fc.constantFrom("grpc", "c:1"),
      ),
    );
    fc.assert(
      fc.property(variables, (values) => {
        const { options } = readOtlpOptions(environment(values));
        assert.ok(options.target.length > 0);
      }),
    );
  });
});
