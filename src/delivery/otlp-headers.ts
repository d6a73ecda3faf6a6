/**
 * Request headers given as text: `k=v,k2=v2` as in W3C Baggage, values percent-decoded (OTLP exporter
 * specification, "Specifying headers via environment variables"). Messages never contain a value.
 */
import { validateHeaderName, validateHeaderValue } from "node:http";

/** Headers that belong to the transport; setting them would only break requests. */
const RESERVED =
  /^(content-type|content-length|content-encoding|transfer-encoding|connection|te|trailer|upgrade|host|grpc-.*)$/;

export interface ParsedHeaders {
  readonly headers: Map<string, string>;
  /** One line for each pair that was left out. */
  readonly problems: string[];
}

/** Parses a whole list. A pair that makes no sense is left out and named, by its place or by its name. */
export function parseHeaderList(text: string): ParsedHeaders {
  const headers = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, pair] of text.split(",").entries()) {
    if (pair.trim() === "") continue;
    const parsed = parseHeader(pair);
    if (typeof parsed === "string") problems.push(`header ${index + 1}: ${parsed}`);
    else headers.set(parsed.name, parsed.value);
  }
  return { headers, problems };
}

/** Parses one `name=value`; a string is the reason why it cannot be used. */
export function parseHeader(pair: string): { readonly name: string; readonly value: string } | string {
  const equals = pair.indexOf("=");
  if (equals < 0) return "it is not name=value";
  const name = pair.slice(0, equals).trim().toLowerCase();
  let value: string;
  try {
    value = decodeURIComponent(pair.slice(equals + 1).trim());
  } catch {
    return "its value has an invalid percent escape";
  }
  try {
    validateHeaderName(name);
  } catch {
    return "its name has characters that no header name can have";
  }
  if (RESERVED.test(name)) return `${name} is set by the exporter itself`;
  try {
    validateHeaderValue(name, value);
  } catch {
    return `the value of ${name} has characters that no header can have`;
  }
  return { name, value };
}
