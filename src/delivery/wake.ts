/** Waits for something to change, in one place; whoever changes it says so. */
export class Wake {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next `now`, or after `timeoutMs`. */
  wait(timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }

  /** Everybody who waits looks again. */
  now(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
