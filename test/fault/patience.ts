import { setTimeout as sleep } from 'node:timers/promises';

/** So long for what is to happen in the end, on however busy a machine: how fast it is belongs to no promise that is looked at here. */
export const PATIENCE_MS = 180_000;
/** And so many looks: while a machine stands still, nobody looks. */
const LOOKS = 300;
const POLL_MS = 20;

/** Whether the condition holds in the end. */
export async function comesTrue(condition: () => Promise<boolean>): Promise<boolean> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (let looks = 1; !(await condition()); looks++) {
    if (looks >= LOOKS && performance.now() >= untilMs) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Whether the promise is kept in the end. Does not keep the process. */
export async function comes(what: Promise<unknown> | undefined): Promise<boolean> {
  const late = new AbortController();
  const never = sleep(PATIENCE_MS, false, { ref: false, signal: late.signal }).catch(() => false);
  const came = await Promise.race([what?.then(() => true) ?? false, never]);
  late.abort();
  return came;
}
