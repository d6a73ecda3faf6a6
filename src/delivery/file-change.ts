/**
 * Whether files have changed, by asking: notifications (inotify) miss files that are swapped by renaming a directory
 * above them, which is how secrets are mounted in containers.
 */
import { statSync } from "node:fs";
import type { RenewalOptions } from "./otlp-options.ts";

/** Default of `fileCheckIntervalMs`: how long a change can go unnoticed at most while requests are sent. */
export const FILE_CHECK_INTERVAL_MS = 1000;

export class FileChange {
  readonly #paths: readonly string[];
  readonly #intervalMs: number;
  #seen: string;
  #askedMs: number;

  /** Changes count from now on; ask for them before the files are read the first time. */
  constructor(paths: readonly string[], renewal: RenewalOptions) {
    this.#paths = paths;
    this.#intervalMs = renewal.fileCheckIntervalMs ?? FILE_CHECK_INTERVAL_MS;
    this.#seen = this.#look();
    this.#askedMs = performance.now();
  }

  /** Whether a file is another than when last asked. Asks the file system once per interval at most. */
  happened(): boolean {
    if (this.#paths.length === 0 || performance.now() - this.#askedMs < this.#intervalMs) return false;
    return this.happenedNow();
  }

  /** The same without regard to the interval. */
  happenedNow(): boolean {
    this.#askedMs = performance.now();
    const seen = this.#look();
    const changed = seen !== this.#seen;
    this.#seen = seen;
    return changed;
  }

  #look(): string {
    return this.#paths.map(fingerprint).join();
  }
}

function fingerprint(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code ?? "unknown";
  }
}
