import { DAY_MS } from './time-units.js';

/** Computers have written times since then; what lies before is another program's way of saying "none", or a mistake. */
const EARLIEST_MS = 0;
/** So far may the clock of whoever says when something was be ahead, or its zone be another. */
const CLOCKS_APART_MS = DAY_MS;

/** Why something cannot have happened then, null when it can. */
export function notInThePast(at: Date, now: Date): string | null {
  if (at.getTime() > now.getTime() + CLOCKS_APART_MS) return 'it lies in the future';
  return at.getTime() < EARLIEST_MS ? 'it lies before 1970' : null;
}
