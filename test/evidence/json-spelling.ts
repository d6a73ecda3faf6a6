/**
 * The same JSON value, written as nobody of us would: numbers with fractions and exponents, escapes, white
 * space, members in another order.
 */
import fc from "fast-check";
import type { Integer, JsonValue } from "../../src/evidence/record.ts";

/** Endless choices from a few numbers. */
type Choose = (count: number) => number;

/** A text of `value` made by the choices. */
export function spellJson(value: JsonValue, choices: readonly number[]): string {
  let used = 0;
  return spell(value, (count) => (choices[used++ % choices.length] as number) % count);
}

export const spellingChoices = fc.array(fc.nat(1000), { minLength: 7, maxLength: 40 });

function spell(value: JsonValue, choose: Choose): string {
  const space = ["", "", "", " ", "\n\t", "\r"][choose(6)] as string;
  return `${space}${spellValue(value, choose)}${space}`;
}

function spellValue(value: JsonValue, choose: Choose): string {
  if (typeof value === "string") return spellText(value, choose);
  if (typeof value === "bigint" || Number.isInteger(value)) return spellInteger(value as Integer, choose);
  if (typeof value === "number") return choose(2) === 0 ? String(value) : value.toExponential();
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => spell(item, choose)).join(",")}]`;
  const members = Object.entries(value).map(
    ([name, part]) => ` ${spellText(name, choose)}${choose(2) === 0 ? "" : " "}:${spell(part, choose)}`,
  );
  const first = members.length === 0 ? 0 : choose(members.length);
  return `{${[...members.slice(first), ...members.slice(0, first)].join(",")}}`;
}

function spellText(text: string, choose: Choose): string {
  if (choose(3) > 0) return JSON.stringify(text);
  const escaped = text.replace(
    /[\s\S]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`,
  );
  return `"${escaped}"`;
}

function spellInteger(value: Integer, choose: Choose): string {
  const zero = BigInt(value) === 0n;
  switch (choose(8)) {
    case 0:
      return `${value}.0`;
    case 1:
      return `${value}e0`;
    case 2:
      return `${value}${zero ? "" : "00"}E-2`;
    case 3:
      return `${zero ? "-" : ""}${value}.000e+0`;
    case 4:
      return BigInt(value) % 10n === 0n ? `${BigInt(value) / 10n}e1` : `${value}`;
    default:
      return `${value}`;
  }
}
