/**
 * A disk that can lose power, fill up and fail, for tests of the spool. What was written but not forced to disk may
 * be there after a power cut, in part, as zeros or not at all, and so may each change of a name: harsher than any
 * real file system.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { FileHead, SpoolStorage } from "../../src/delivery/spool-storage.ts";

interface Inode {
  content: Buffer;
  /** What is on disk. */
  durable: Buffer | undefined;
}

export type DiskOperation = "names" | "write" | "read" | "sync" | "rename" | "remove" | "syncDirectory";

export class SimulatedDisk {
  names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  /** An error code for operations that are to fail. */
  fault: (operation: DiskOperation, name: string) => string | undefined = () => undefined;
  /** Operations wait for it before they do anything. */
  gate: (operation: DiskOperation, name: string) => Promise<void> | undefined = () => undefined;
  bytesMax = Number.POSITIVE_INFINITY;
  /** Operations begun and done, so that one can see whether anything goes on. */
  steps = 0;
  /** Operations that have failed. */
  failures = 0;
  #process = 0;

  /** The disk as one process sees it; once that is killed, what it had under way never goes on. */
  mount(): SpoolStorage {
    const process = this.#process;
    return new Mounted(this, () => process === this.#process);
  }

  /** The process dies between two operations, or in the middle of a write; the system lives on. */
  kill(): void {
    this.#process += 1;
  }

  /** @param random uniform in [0, 1) */
  cutPower(random: () => number): void {
    this.kill();
    const left = new Map<string, Inode>();
    for (const name of new Set([...this.names.keys(), ...this.#durableNames.keys()])) {
      const inode = random() < 0.5 ? this.names.get(name) : this.#durableNames.get(name);
      const same = this.names.get(name) === this.#durableNames.get(name);
      const found = same ? this.names.get(name) : inode;
      if (found !== undefined) left.set(name, found);
    }
    for (const inode of left.values()) {
      inode.content = inode.durable ?? halfWritten(inode.content, random());
      inode.durable = inode.content;
    }
    this.names = left;
    this.#durableNames = new Map(left);
  }

  /** What is on disk of the files whose names are there too. */
  durableFiles(): Buffer[] {
    const inodes = [...this.#durableNames].filter(([name, inode]) => this.names.get(name) === inode);
    return inodes.flatMap(([, { durable }]) => durable ?? []);
  }

  get usedBytes(): number {
    return [...this.names.values()].reduce((sum, { content }) => sum + content.length, 0);
  }

  check(operation: DiskOperation, name: string): void {
    const code = this.fault(operation, name);
    if (code === undefined) return;
    this.failures += 1;
    throw Object.assign(new Error(`${code}: ${operation} ${name}`), { code });
  }

  find(name: string): Inode {
    const inode = this.names.get(name);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${name}`), { code: "ENOENT" });
    return inode;
  }

  syncNames(): void {
    this.#durableNames = new Map(this.names);
  }
}

function halfWritten(content: Buffer, choice: number): Buffer {
  if (choice < 0.2) return Buffer.alloc(0);
  if (choice < 0.4) return content.subarray(0, Math.floor(content.length * choice * 2));
  if (choice < 0.6)
    return Buffer.concat([content.subarray(0, 64), Buffer.alloc(content.length)], content.length);
  return choice < 0.8 ? Buffer.alloc(content.length) : content;
}

class Mounted implements SpoolStorage {
  readonly #disk: SimulatedDisk;
  readonly #isAlive: () => boolean;

  constructor(disk: SimulatedDisk, isAlive: () => boolean) {
    this.#disk = disk;
    this.#isAlive = isAlive;
  }

  async names(folder = "."): Promise<string[]> {
    await this.#step("names", folder);
    this.#disk.check("names", folder);
    const prefix = folder === "." ? "" : `${folder}/`;
    const below = [...this.#disk.names.keys()].filter((name) => name.startsWith(prefix));
    return below.map((name) => name.slice(prefix.length)).filter((name) => !name.includes("/"));
  }

  async write(name: string, parts: readonly Buffer[], sync: boolean): Promise<void> {
    await this.#step("write", name);
    this.#disk.check("write", name);
    const whole = Buffer.concat(parts);
    const inode: Inode = { content: whole.subarray(0, whole.length / 2), durable: undefined };
    this.#disk.names.set(name, inode);
    await this.#step("write", name);
    if (this.#disk.usedBytes - inode.content.length + whole.length > this.#disk.bytesMax) {
      this.#disk.failures += 1;
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    }
    inode.content = whole;
    if (!sync) return;
    await this.#step("sync", name);
    this.#disk.check("sync", name);
    inode.durable = whole;
  }

  async overwrite(name: string, parts: readonly Buffer[], sync: boolean): Promise<void> {
    await this.#step("write", name);
    this.#disk.check("write", name);
    const inode = this.#disk.find(name);
    const whole = Buffer.concat(parts);
    const before = inode.content;
    inode.content = Buffer.concat([whole.subarray(0, whole.length / 2), before.subarray(whole.length / 2)]);
    inode.durable = undefined;
    await this.#step("write", name);
    if (
      this.#disk.usedBytes - inode.content.length + whole.length > this.#disk.bytesMax &&
      whole.length > before.length
    ) {
      this.#disk.failures += 1;
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    }
    inode.content = whole;
    if (sync) await this.sync(name);
  }

  async read(name: string): Promise<Buffer> {
    await this.#step("read", name);
    this.#disk.check("read", name);
    return Buffer.from(this.#disk.find(name).content);
  }

  async readHead(name: string, headBytesMax: number): Promise<FileHead> {
    const content = await this.read(name);
    return {
      head: content.subarray(0, headBytesMax),
      fileBytes: content.length,
      writtenAtUnixMs: Date.now(),
    };
  }

  async sync(name: string): Promise<void> {
    await this.#step("sync", name);
    this.#disk.check("sync", name);
    const inode = this.#disk.find(name);
    inode.durable = inode.content;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step("rename", from);
    this.#disk.check("rename", from);
    const inode = this.#disk.find(from);
    this.#disk.names.delete(from);
    this.#disk.names.set(to, inode);
  }

  async remove(name: string): Promise<void> {
    await this.#step("remove", name);
    this.#disk.check("remove", name);
    this.#disk.names.delete(name);
  }

  async syncDirectory(): Promise<void> {
    await this.#step("syncDirectory", ".");
    this.#disk.check("syncDirectory", ".");
    this.#disk.syncNames();
  }

  async #step(operation: DiskOperation, name: string): Promise<void> {
    await turn();
    await this.#disk.gate(operation, name);
    this.#disk.steps += 1;
    // The dead do nothing, for ever.
    if (!this.#isAlive()) await new Promise(() => {});
  }
}
