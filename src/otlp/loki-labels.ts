/**
 * Our attributes by the label names under which Loki keeps them. Loki turns each run of characters other than
 * ASCII letters and digits into one `_` (its pkg/loghttp/push/otlp.go, with prometheus/otlptranslator); that
 * can't be undone in general, so this is a static table, and a test holds that it is one to one.
 */
import { ATTR_LOG_RECORD_UID, ATTR_RUNTIME_EVIDENCE_RESIDUAL } from "./attributes.gen.ts";
import { lossFields } from "./loss-record.ts";
import { eventFields, eventTypeKey, extensionFields, recordFields, resourceFields } from "./mapping.ts";
import { streamFields } from "./stream-record.ts";

/** Put behind the name of metadata or of a parsed field that a label of the stream has already. */
export const extractedSuffix = "_extracted";

/** The name under which Loki keeps an attribute of ours. None begins with a digit or an underscore. */
export function lokiLabelName(key: string): string {
  return key.replace(/[^A-Za-z0-9]+/g, "_");
}

export interface LabelledAttribute {
  readonly key: string;
  /** The label's name with the suffix. */
  readonly extracted: string;
  /** Loki keeps attributes of the resource and of the record in one place. */
  readonly of: "resource" | "record";
  /**
   * Whether a label of the stream with this name is ours: Loki can index attributes of log records. False for
   * the attributes of a process, which others put on resources, to mean a process of theirs.
   */
  readonly indexable: boolean;
}

/** Every attribute that is read when a record is rebuilt or a stream is verified, by its label name. All else is others' business. */
export const attributesByLabel: ReadonlyMap<string, LabelledAttribute> = new Map([
  ...labelled(
    resourceFields.map(({ key }) => key),
    "resource",
  ),
  ...labelled(
    [
      eventTypeKey,
      ATTR_LOG_RECORD_UID,
      ATTR_RUNTIME_EVIDENCE_RESIDUAL,
      ...recordFields.map(({ key }) => key),
      ...extensionFields.map(({ key }) => key),
      ...lossFields.map(({ key }) => key),
      ...streamFields.map(({ key }) => key),
      ...Object.values(eventFields).flatMap((fields) => fields.map(({ key }) => key)),
    ],
    "record",
  ),
]);

function labelled(
  keys: readonly string[],
  of: LabelledAttribute["of"],
): (readonly [string, LabelledAttribute])[] {
  return keys.map((key) => {
    const label = lokiLabelName(key);
    const extracted = `${label}${extractedSuffix}`;
    return [label, { key, extracted, of, indexable: !key.startsWith("process.") }];
  });
}
