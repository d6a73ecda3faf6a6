/**
 * Resources and the instrumentation scope, encoded once and put into every request.
 */
import { VERSION } from "../evidence/version.ts";
import { type AttributeRecord, delimitedField, encodeKeyValue, stringField } from "./any-value.ts";
import {
  ATTR_RUNTIME_EVIDENCE_CONTAINER_ID,
  ATTR_RUNTIME_EVIDENCE_IMAGE_DIGEST,
  ATTR_RUNTIME_EVIDENCE_RECORD_SCHEMA_VERSION,
  SCHEMA_URL,
  UPSTREAM_SCHEMA_URL,
} from "./attributes.gen.ts";
import { containerAttributes } from "./projection.ts";

export { VERSION as packageVersion } from "../evidence/version.ts";

/** The fields of ResourceLogs (logs.proto) before its scopes. Two are the same only if they are one object. */
export interface EncodedResource {
  readonly bytes: Buffer;
  readonly attributes: AttributeRecord;
}

/** The fields of ScopeLogs (logs.proto) before its records. */
export interface EncodedScope {
  readonly bytes: Buffer;
}

/** Encodes a resource. Attribute values must be strings, booleans, exact integers or arrays of strings. */
export function encodeResource(
  attributes: AttributeRecord,
  schemaUrl: string = UPSTREAM_SCHEMA_URL,
): EncodedResource {
  const keyValues = Object.entries(attributes).map(([key, value]) => encodeKeyValue(1, key, value));
  return { bytes: Buffer.concat([delimitedField(1, ...keyValues), stringField(3, schemaUrl)]), attributes };
}

export interface Scope {
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
  readonly attributes: AttributeRecord;
}

export function encodeScope({ name, version, schemaUrl, attributes }: Scope): EncodedScope {
  const keyValues = Object.entries(attributes).map(([key, value]) => encodeKeyValue(3, key, value));
  const scope = delimitedField(1, stringField(1, name), stringField(2, version), ...keyValues);
  return { bytes: Buffer.concat([scope, stringField(3, schemaUrl)]) };
}

/** The instrumentation scope of every record: this program, and the schema its records follow. */
export const evidenceScope: Scope = {
  name: "runtime-evidence",
  version: VERSION,
  schemaUrl: SCHEMA_URL,
  attributes: { [ATTR_RUNTIME_EVIDENCE_RECORD_SCHEMA_VERSION]: "1" },
};

/** Gives the resource that a record with these members belongs to: always the same object for the same two. */
export interface ResourceSource {
  resourceFor(containerId: string | undefined, imageDigest: string | undefined): EncodedResource;
}

/** Containers kept by default; a host seldom runs more at once. */
export const containerResourcesMaxDefault = 1024;

/**
 * One resource per container and image, made of `base` (host, service, clock). At `limit` the one unused for
 * longest is forgotten and encoded anew when it is needed again.
 */
export function createResourceSource(
  base: AttributeRecord,
  limit: number = containerResourcesMaxDefault,
): ResourceSource {
  const uncontained = encodeResource(base);
  const contained = new Map<string, EncodedResource>();
  return {
    resourceFor(containerId, imageDigest) {
      if (containerId === undefined && imageDigest === undefined) return uncontained;
      const key = JSON.stringify([containerId, imageDigest]);
      const resource = contained.get(key) ?? encodeContainer(base, containerId, imageDigest);
      contained.delete(key);
      contained.set(key, resource);
      if (contained.size > limit) contained.delete(contained.keys().next().value as string);
      return resource;
    },
  };
}

function encodeContainer(base: AttributeRecord, containerId?: string, imageDigest?: string): EncodedResource {
  const attributes: Record<string, AttributeRecord[string]> = { ...base };
  if (containerId !== undefined) attributes[ATTR_RUNTIME_EVIDENCE_CONTAINER_ID] = containerId;
  if (imageDigest !== undefined) attributes[ATTR_RUNTIME_EVIDENCE_IMAGE_DIGEST] = imageDigest;
  return encodeResource({ ...attributes, ...containerAttributes(containerId, imageDigest) });
}
