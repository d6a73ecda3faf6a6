/**
 * Reads the registry files beside it (weaver syntax `definition/2`) into one value, with the groups that
 * events refer to expanded.
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";

export interface EnumMember {
  readonly id: string;
  readonly value: string;
  readonly brief?: string;
}

export interface AttributeDefinition {
  readonly key: string;
  readonly type: string | { readonly members: readonly EnumMember[] };
  readonly stability: string;
  readonly brief: string;
  readonly note?: string;
  readonly examples?: readonly unknown[];
}

type RequirementLevel = string | { readonly conditionally_required: string };

export interface AttributeReference {
  readonly ref: string;
  readonly requirement_level: RequirementLevel;
  readonly brief?: string;
}

interface GroupReference {
  readonly ref_group: string;
}

export interface AttributeGroup {
  readonly id: string;
  readonly visibility: "internal" | "public";
  readonly brief?: string;
  readonly attributes: readonly AttributeReference[];
}

export interface EventDefinition {
  readonly name: string;
  readonly brief: string;
  readonly attributes: readonly AttributeReference[];
}

export interface MetricDefinition {
  readonly name: string;
  readonly instrument: "counter" | "updowncounter" | "gauge" | "histogram";
  /** UCUM. */
  readonly unit: string;
  readonly brief: string;
  readonly note?: string;
  readonly attributes?: readonly AttributeReference[];
}

export interface Registry {
  readonly schemaUrl: string;
  /** Schema URL of the OpenTelemetry conventions that foreign references are resolved in. */
  readonly upstreamSchemaUrl: string;
  readonly attributes: readonly AttributeDefinition[];
  readonly groups: readonly AttributeGroup[];
  readonly events: readonly EventDefinition[];
  readonly metrics: readonly MetricDefinition[];
  /** Names of metrics in use that OpenTelemetry's conventions define. */
  readonly importedMetrics: readonly string[];
}

const readYaml = (name: string) => parse(readFileSync(new URL(name, import.meta.url), "utf8"));

function expand(
  references: readonly (AttributeReference | GroupReference)[],
  groups: readonly AttributeGroup[],
): AttributeReference[] {
  return references.flatMap((reference) => {
    if (!("ref_group" in reference)) return [reference];
    const group = groups.find(({ id }) => id === reference.ref_group);
    if (group === undefined) throw new Error(`semconv: no attribute group is called ${reference.ref_group}`);
    return group.attributes;
  });
}

/** The whole registry. Throws when a group that an event refers to does not exist. */
export function readRegistry(): Registry {
  const manifest = readYaml("manifest.yaml");
  const definitions = readYaml("attributes.yaml");
  const signals = readYaml("events.yaml");
  const measured = readYaml("metrics.yaml");
  const groups = signals.attribute_groups as AttributeGroup[];
  return {
    schemaUrl: manifest.schema_url,
    upstreamSchemaUrl: manifest.dependencies[0].schema_url,
    attributes: definitions.attributes,
    groups,
    events: signals.events.map((event: EventDefinition) => ({
      ...event,
      attributes: expand(event.attributes, groups),
    })),
    metrics: measured.metrics,
    importedMetrics: measured.imports.metrics,
  };
}
