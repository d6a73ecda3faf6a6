/**
 * The resource of everything that this host says of itself.
 */
import { uptime } from "node:os";
import {
  detectResources,
  envDetector,
  hostDetector,
  osDetector,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import type { ClockType } from "../frames/clock.ts";
import {
  ATTR_RUNTIME_EVIDENCE_BOOT_TIME,
  ATTR_RUNTIME_EVIDENCE_CLOCK_TYPE,
  ATTR_SERVICE_NAME,
} from "../otlp/attributes.gen.ts";
import { createResourceSource, type ResourceSource } from "../otlp/resource.ts";
import { nowUnixNano } from "./wall-clock.ts";

const SERVICE_NAME_DEFAULT = "runtime-evidence";

/**
 * Asks OpenTelemetry's detectors for host, operating system and `OTEL_RESOURCE_ATTRIBUTES`
 * (`OTEL_SERVICE_NAME` wins over its service.name).
 */
export async function detectHost(
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Record<string, string>> {
  const detected = resourceFromAttributes({ [ATTR_SERVICE_NAME]: SERVICE_NAME_DEFAULT }).merge(
    detectResources({ detectors: [hostDetector, osDetector, envDetector] }),
  );
  await detected.waitForAsyncAttributes?.();
  const attributes: Record<string, string> = {};
  for (const [key, value] of Object.entries(detected.attributes)) {
    if (typeof value === "string") attributes[key] = value;
  }
  const serviceName = environment.OTEL_SERVICE_NAME?.trim();
  if (serviceName) attributes[ATTR_SERVICE_NAME] = serviceName;
  return attributes;
}

/**
 * The host as it is detected, and the clock that `ts_ns` is read from. `bootTimeUnixNano` is when the host booted, in
 * nanoseconds since the Unix epoch; by default this one.
 */
export async function detectBaseResource(
  clock: ClockType,
  environment: NodeJS.ProcessEnv = process.env,
  bootTimeUnixNano: bigint = bootTimeOfThisHost(),
): Promise<ResourceSource> {
  const attributes: Record<string, string | bigint> = await detectHost(environment);
  attributes[ATTR_RUNTIME_EVIDENCE_CLOCK_TYPE] = clock === "boot" ? "boottime" : clock;
  attributes[ATTR_RUNTIME_EVIDENCE_BOOT_TIME] = bootTimeUnixNano;
  return createResourceSource(attributes);
}

/** When this host booted, in nanoseconds since the Unix epoch. */
export function bootTimeOfThisHost(): bigint {
  // libuv's uptime reads CLOCK_BOOTTIME.
  return nowUnixNano() - BigInt(Math.round(uptime() * 1e9));
}
