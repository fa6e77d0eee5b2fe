import type { Draws } from './draws.js';

/** Confirmed sign-ups by which people came into one sequence. Days are counted from 1970, in UTC. */
export interface SignUpHistory {
  /** The first day that counts. */
  first: number;
  /** The first day that does not count any more: today, which is not over. */
  end: number;
  /** Days without any are left out. */
  counts: ReadonlyMap<number, number>;
}

/** How many people are expected on a day, as drawn once: by the weekday, Monday first. */
interface ArrivalRates {
  perDay: readonly number[];
  /** How much more than by chance days differ: variance by mean, from 1. */
  dispersion: number;
}

const WEEK = 7;
/** Weekdays are told apart only by whole weeks, as many as these, and this many people. */
const LEAST_WEEKS = 4;
const LEAST_PEOPLE = 70;
/** The value that chi-square with six degrees of freedom passes once in a hundred times by chance. */
const CHI_SQUARE_99 = 16.81;

/**
 * Draws what the rate of sign-ups may be: gamma distributed about what was counted, wider where days differ by more than
 * chance. Weekdays have shares of their own where the counts show that they differ. Without a sign-up it is 0.
 */
export function drawRates(history: SignUpHistory, draws: Draws): ArrivalRates {
  const days = history.end - history.first;
  const total = totalOf(history);
  if (days <= 0 || total === 0) return { perDay: Array.from({ length: WEEK }, () => 0), dispersion: 1 };
  const pattern = weekdayCounts(history);
  const shares = pattern && draws.dirichlet(pattern.map((count) => count + 1));
  const measured = dispersionOf(history, pattern);
  // Of so few days it is not well known itself: scaled inverse chi-square.
  const dispersion =
    measured === 1 ? 1 : Math.max(1, (measured * (days - 1)) / (2 * draws.gamma((days - 1) / 2)));
  const perDay = (draws.gamma(total / dispersion) * dispersion) / days;
  return {
    perDay: Array.from({ length: WEEK }, (_, day) => perDay * (shares?.[day] ?? 1 / WEEK) * WEEK),
    dispersion,
  };
}

/** How many come on a day of which the part `weight` is ahead. */
export function drawArrivals(
  { perDay, dispersion }: ArrivalRates,
  { day, weight }: { day: number; weight: number },
  draws: Draws,
): number {
  const mean = (perDay[weekdayOf(day)] ?? 0) * weight;
  if (mean <= 0) return 0;
  if (dispersion <= 1) return draws.poisson(mean);
  return draws.poisson(draws.gamma(mean / (dispersion - 1)) * (dispersion - 1));
}

export function totalOf({ first, end, counts }: SignUpHistory): number {
  return [...counts].reduce((sum, [day, count]) => (day >= first && day < end ? sum + count : sum), 0);
}

/** Whether weekdays are told apart. */
export function hasWeekdays(history: SignUpHistory): boolean {
  return weekdayCounts(history) !== null;
}

/** The sign-ups of each weekday; null where the data do not show that they differ. */
function weekdayCounts(history: SignUpHistory): number[] | null {
  const { first, end, counts } = history;
  const total = totalOf(history);
  if ((end - first) % WEEK !== 0 || end - first < LEAST_WEEKS * WEEK || total < LEAST_PEOPLE) return null;
  const byWeekday = Array.from({ length: WEEK }, () => 0);
  for (let day = first; day < end; day++)
    byWeekday[weekdayOf(day)] = (byWeekday[weekdayOf(day)] ?? 0) + (counts.get(day) ?? 0);
  const even = total / WEEK;
  const chiSquare = byWeekday.reduce((sum, count) => sum + (count - even) ** 2 / even, 0);
  return chiSquare > CHI_SQUARE_99 ? byWeekday : null;
}

/** Pearson's; 1 where it is no more than chance may make of even days. */
function dispersionOf(history: SignUpHistory, pattern: readonly number[] | null): number {
  const { first, end, counts } = history;
  const days = end - first;
  if (days < 2) return 1;
  const total = totalOf(history);
  let sum = 0;
  for (let day = first; day < end; day++) {
    const mean = pattern === null ? total / days : ((pattern[weekdayOf(day)] ?? 0) * WEEK) / days;
    if (mean > 0) sum += ((counts.get(day) ?? 0) - mean) ** 2 / mean;
  }
  const dispersion = sum / (days - 1);
  return dispersion > 1 + 2 * Math.sqrt(2 / (days - 1)) ? dispersion : 1;
}

/** Monday is 0; the first of January 1970 was a Thursday. */
function weekdayOf(day: number): number {
  return (day + 3) % WEEK;
}
