/**
 * From an endpoint as people write it to the target that a sender uses (OTLP exporter specification, "Endpoint
 * URLs for OTLP/HTTP" and the endpoint option of OTLP/gRPC). Messages never contain the endpoint itself: it can
 * carry a password or a token.
 */
import type { OtlpOptions, OtlpProtocol, OtlpSignal } from "./otlp-options.ts";

/** Where an endpoint comes from decides whether the path of the signal is appended. */
export type EndpointKind =
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`: `v1/logs` or `v1/metrics` is appended. */
  | "generic"
  /** `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` or that of metrics: used as it is. */
  | "signal"
  /** Command line: as the generic one, but a path may end in `v1/logs` or `v1/metrics` already. */
  | "flag";

const DEFAULT_HTTP = "http://localhost:4318";
const DEFAULT_GRPC = "http://localhost:4317";

/** The endpoint when none is given. */
export function defaultEndpoint(protocol: OtlpProtocol): string {
  return protocol === "grpc" ? DEFAULT_GRPC : DEFAULT_HTTP;
}

/** The port an endpoint names, with or without scheme; `undefined` where it names none. */
export function endpointPort(endpoint: string): number | undefined {
  const port = /^(?:[a-z][a-z0-9+.-]*:\/\/)?[^/?#]*?:(\d{1,5})(?=$|[/?#])/i.exec(endpoint)?.[1];
  return port === undefined ? undefined : Number(port);
}

/**
 * Resolves an endpoint; a string is the reason why it cannot be used.
 * @param insecure gRPC only: no TLS for an endpoint without scheme
 */
export function resolveEndpoint(
  endpoint: string,
  kind: EndpointKind,
  protocol: OtlpProtocol,
  insecure: boolean,
  signal: OtlpSignal = "logs",
): Pick<OtlpOptions, "target" | "secure"> | string {
  if (protocol === "grpc") return resolveGrpc(endpoint, insecure);
  const url = parseHttpUrl(endpoint);
  if (typeof url === "string") return url;
  if (kind === "signal") return { target: url.href, secure: url.protocol === "https:" };
  const own = kind === "flag" ? /\/v1\/(logs|metrics)\/?$/.exec(url.pathname) : null;
  if (own?.[1] !== signal) {
    const base = own === null ? url.pathname.replace(/\/$/, "") : url.pathname.slice(0, own.index);
    url.pathname = `${base}/v1/${signal}`;
  }
  return { target: url.href, secure: url.protocol === "https:" };
}

function resolveGrpc(endpoint: string, insecure: boolean): Pick<OtlpOptions, "target" | "secure"> | string {
  // The forms of gRPC's own naming (grpc/grpc doc/naming.md) are passed on as they are.
  if (/^(unix:|dns:|ipv4:|ipv6:)/.test(endpoint)) return { target: endpoint, secure: !insecure };
  if (endpoint.includes("://")) {
    const url = parseHttpUrl(endpoint);
    if (typeof url === "string") return url;
    const secure = url.protocol === "https:";
    return { target: `dns:${url.hostname}:${url.port || (secure ? 443 : 80)}`, secure };
  }
  if (!/^[^/?#@\s]+$/.test(endpoint)) return "it is neither a URL nor host:port";
  return { target: `dns:${endpoint}`, secure: !insecure };
}

function parseHttpUrl(endpoint: string): URL | string {
  if (!/^https?:\/\//i.test(endpoint)) return "it must begin with http:// or https://";
  const url = URL.parse(endpoint);
  if (url === null) return "it is not a valid URL";
  if (url.username !== "" || url.password !== "") {
    return "it has a user or password; put credentials in a header instead";
  }
  url.hash = "";
  return url;
}
