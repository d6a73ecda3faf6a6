/**
 * The attributes of a decoded log record, as a map that has a place ready for each attribute of ours: filling
 * a `Map` anew for every record takes several times as long.
 */
import type { AnyValue } from "./any-value.ts";
import * as attributeNames from "./attributes.gen.ts";
import { eventFields, eventTypeKey, recordFields, resourceFields } from "./mapping.ts";

/** Attributes that evidence never has: of loss and stream records, which are few, and of metrics. */
const keysApart = /^runtime_evidence\.(?:loss|stream|queue)\./;

/** The attributes of evidence that this program writes, those for people included; what all records have first. */
const ownKeys = [
  ...new Set([
    ...[eventTypeKey, attributeNames.ATTR_LOG_RECORD_UID, attributeNames.ATTR_RUNTIME_EVIDENCE_RESIDUAL],
    ...[recordFields, resourceFields, ...Object.values(eventFields)].flat().map(({ key }) => key),
    ...Object.entries(attributeNames)
      .filter(([name, key]) => name.startsWith("ATTR_") && !keysApart.test(key))
      .map(([, key]) => key),
  ]),
];
const slotByKey = new Map(ownKeys.map((key, slot) => [key, slot]));
const noSlots = new Array<AnyValue | undefined>(ownKeys.length).fill(undefined);
/** Slots that the attributes filled last have: the next ones will need as many. */
let slotsExpected = 0;

export { ownKeys as ownAttributeKeys };

/** The place in `slots` of an attribute of evidence. */
export function slotOf(key: string): number {
  const slot = slotByKey.get(key);
  if (slot === undefined) throw new Error(`${key} is no attribute of evidence`);
  return slot;
}

export class DecodedAttributes implements ReadonlyMap<string, AnyValue> {
  /**
   * Values of our own attributes, in the order of `ownKeys`, once there is one: `undefined` where there is none,
   * and as many as were needed so far.
   */
  slots: (AnyValue | undefined)[] | undefined = undefined;
  others: Map<string, AnyValue> | undefined = undefined;

  set(key: string, value: AnyValue): void {
    const slot = slotByKey.get(key);
    if (slot !== undefined) {
      this.slots ??= noSlots.slice(0, slotsExpected);
      const { slots } = this;
      if (slot >= slots.length) {
        while (slots.length <= slot) slots.push(undefined);
        slotsExpected = slots.length;
      }
      slots[slot] = value;
    } else {
      this.others ??= new Map();
      this.others.set(key, value);
    }
  }

  get(key: string): AnyValue | undefined {
    const slot = slotByKey.get(key);
    return slot === undefined ? this.others?.get(key) : this.slots?.[slot];
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get size(): number {
    let count = this.others?.size ?? 0;
    for (const value of this.slots ?? []) if (value !== undefined) count++;
    return count;
  }

  *entries(): MapIterator<[string, AnyValue]> {
    for (const [slot, value] of (this.slots ?? []).entries()) {
      if (value !== undefined) yield [ownKeys[slot] as string, value];
    }
    if (this.others !== undefined) yield* this.others;
  }

  [Symbol.iterator](): MapIterator<[string, AnyValue]> {
    return this.entries();
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<AnyValue> {
    for (const [, value] of this.entries()) yield value;
  }

  forEach(take: (value: AnyValue, key: string, map: ReadonlyMap<string, AnyValue>) => void): void {
    const { slots, others } = this;
    if (slots !== undefined) {
      for (let slot = 0; slot < slots.length; slot++) {
        const value = slots[slot];
        if (value !== undefined) take(value, ownKeys[slot] as string, this);
      }
    }
    others?.forEach((value, key) => {
      take(value, key, this);
    });
  }
}
