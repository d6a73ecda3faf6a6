/**
 * How many records each probe has made: in the request being built, and not settled in all.
 */

/** The name under which records that a stream says about itself are counted. */
export const CONTROL = "control";

export class RecordTally {
  /** The index of the records that a stream says about itself. */
  readonly control: number;
  readonly #names: readonly string[];
  readonly #building: Uint32Array;
  readonly #outstanding: Map<string, number>;

  constructor(probes: readonly string[]) {
    this.control = probes.length;
    this.#names = [...probes, CONTROL];
    this.#building = new Uint32Array(this.#names.length);
    this.#outstanding = new Map(probes.map((probe) => [probe, 0]));
  }

  /** Counts a record, by the index of its probe. */
  add(index: number): void {
    this.#building[index] = (this.#building[index] as number) + 1;
  }

  /** What the request that is sealed holds; the next one is empty. */
  seal(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const [index, count] of this.#building.entries()) {
      if (count === 0) continue;
      const name = this.#names[index] as string;
      counts.set(name, count);
      const outstanding = this.#outstanding.get(name);
      if (outstanding !== undefined) this.#outstanding.set(name, outstanding + count);
    }
    this.#building.fill(0);
    return counts;
  }

  /** Takes `count` settled records off; whether they are to be booked, which control records are not. */
  settle(probe: string, count: number): boolean {
    const outstanding = this.#outstanding.get(probe);
    if (outstanding === undefined || count === 0) return false;
    this.#outstanding.set(probe, outstanding - count);
    return true;
  }

  /** Records of a probe that were counted and not settled. */
  pending(probe: string): number {
    const building = this.#building[this.#names.indexOf(probe)] ?? 0;
    return building + (this.#outstanding.get(probe) ?? 0);
  }

  /** Records of each probe that were sealed and not settled. */
  *outstanding(): IterableIterator<[probe: string, count: number]> {
    for (const [probe, count] of this.#outstanding) if (count > 0) yield [probe, count];
  }
}
