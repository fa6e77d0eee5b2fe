/** A look that took less is made each time. */
const QUICK_MS = 1_000;
const SHARE = 20;

/**
 * How long after a look that took so long the next one waits. Where millions of mails go in a week a look reads for many
 * seconds: it has a twentieth of the time at most, and what it would stop is found so much later.
 */
export const restAfter = (tookMs: number): number => (tookMs < QUICK_MS ? 0 : tookMs * (SHARE - 1));
