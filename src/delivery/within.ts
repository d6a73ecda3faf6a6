/** Waiting with a limit. */

/** Waits for `work`, at most `timeoutMs`; whether it was done in time. Work that fails is done. */
export async function within(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const done = work.then(
    () => true,
    () => true,
  );
  const isDone = await Promise.race([done, timeout]);
  clearTimeout(timer);
  return isDone;
}

/** Waits for `work`, or until `signal` is aborted. Unlike a race with a promise it leaves nothing behind at the signal. */
export async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const aborted = () => resolve();
  signal.addEventListener("abort", aborted);
  work.then(resolve, reject);
  await promise.finally(() => signal.removeEventListener("abort", aborted));
}
