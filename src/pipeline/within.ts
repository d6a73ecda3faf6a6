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
