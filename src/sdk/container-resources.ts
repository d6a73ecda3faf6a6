/**
 * OpenTelemetry Resources of containers, made of a program's own Resource. OpenTelemetry's serializers group log
 * records by the identity of their Resource, so that the same container always gets the same object.
 */
import type { Attributes } from "@opentelemetry/api";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  ATTR_RUNTIME_EVIDENCE_CONTAINER_ID,
  ATTR_RUNTIME_EVIDENCE_IMAGE_DIGEST,
  ATTR_SERVICE_NAME,
  UPSTREAM_SCHEMA_URL,
} from "../otlp/attributes.gen.ts";
import { containerAttributes } from "../otlp/projection.ts";
import { containerResourcesMaxDefault } from "../otlp/resource.ts";

/** The Resource of records for which none is given. */
export const defaultEvidenceResource: Resource = resourceFromAttributes(
  { [ATTR_SERVICE_NAME]: "runtime-evidence" },
  { schemaUrl: UPSTREAM_SCHEMA_URL },
);

/** By the program's Resource, then by container and image, the one used last at the end. */
const containers = new WeakMap<Resource, Map<string, Resource>>();

/**
 * `base` with a container's attributes as v1 has them, and what OpenTelemetry's conventions call the same; `base`
 * itself when there are none. Of the containers of one base the last 1024 are remembered; another one gets an
 * equal Resource anew, which costs a few bytes on the wire.
 */
export function containerResource(base: Resource, container: Attributes): Resource {
  const containerId = container[ATTR_RUNTIME_EVIDENCE_CONTAINER_ID] as string | undefined;
  const imageDigest = container[ATTR_RUNTIME_EVIDENCE_IMAGE_DIGEST] as string | undefined;
  if (containerId === undefined && imageDigest === undefined) return base;
  const known = containers.get(base) ?? new Map<string, Resource>();
  containers.set(base, known);
  const key = JSON.stringify([containerId, imageDigest]);
  let resource = known.get(key);
  if (resource === undefined) {
    // Two schema URLs that differ cannot be merged.
    const schemaUrl = base.schemaUrl ?? UPSTREAM_SCHEMA_URL;
    const own = { ...container, ...containerAttributes(containerId, imageDigest) };
    resource = base.merge(resourceFromAttributes(own, { schemaUrl }));
  }
  known.delete(key);
  known.set(key, resource);
  if (known.size > containerResourcesMaxDefault) known.delete(known.keys().next().value as string);
  return resource;
}
