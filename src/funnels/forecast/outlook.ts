import { belief, type Measured } from './beliefs.js';
import type { Parting } from './choices.js';
import { Draws } from './draws.js';
import { drawArrivals, drawRates, type SignUpHistory } from './newcomers.js';
import type { ForecastPath } from './paths.js';

/** People who stand at one place, and the ways they may go. */
export interface Group {
  count: number;
  paths: readonly ForecastPath[];
}

/** The truth lies from `low` to `high` with the probability that was asked for. */
export interface Band {
  expected: number;
  low: number;
  high: number;
}

/** What goes out and comes in. */
export interface Amounts {
  /** By the days from the first one on. */
  mails: Band[];
  mailsInAll: Band;
  /** What people pay, in minor units; nothing is taken off for refunds, fees or commissions. */
  income: { currency: string; amount: Band }[];
}

/** Of the people who are in sequences now; of those who are expected to sign up; and of both, with what is written already. */
export interface Outlook extends Amounts {
  newcomers: Amounts & { people: Band };
  inAll: Amounts;
}

/** With what it was made from. */
export interface Forecast extends Outlook {
  /** Mails that are written already, by the days from the first one on. They are part of what goes out in all. */
  waiting: number[];
  /** UTC; the first day is the rest of today. */
  dates: string[];
  /** In sequences now. */
  people: number;
  /** What the shares were measured by. */
  basis: {
    mails: number;
    purchases: number;
    left: number;
    /** Offers after an order. */
    upsellsShown: number;
    upsellsTaken: number;
    days: number;
  };
  /** What is not in it, and why. */
  leavesOut: readonly { what: string; why: string }[];
  /** What newcomers are expected by: sign-ups of so many days before today, and whether weekdays are told apart. */
  signUps: { people: number; days: number; byWeekday: boolean };
}

/** People who are expected to come into a sequence by sign-ups that go on as they have been. */
export interface Arriving {
  history: SignUpHistory;
  joins: readonly Join[];
}

/** Those who come on one day. */
export interface Join {
  /** From 1970. */
  day: number;
  /** The part of the day that is ahead, up to 1. */
  weight: number;
  paths: readonly ForecastPath[];
  /** By how many days the paths are of somebody who came earlier. */
  later: number;
}

interface OutlookQuestion {
  measured: Measured;
  days: number;
  /** The number of the day a moment falls on; 0 is the first. */
  dayOf(this: void, at: Date): number;
  /** How often the truth is to lie in the band, such as 0.8. */
  level: number;
  seed: number;
}

const ROUNDS = 400;

interface Sums {
  mails: number[];
  income: Map<string, number>;
}

/** What a path adds for one person. */
interface PathSums {
  mails: [day: number, count: number][];
  income: [currency: string, amountMinor: number][];
  /** `parting` is its place among all of the forecast. */
  choices: [parting: number, option: number][];
}

/**
 * How many mails go on each day, and what comes in. Three things are not known: how likely people are to take each option,
 * of which measuring tells the more the more was measured; how many will sign up; and what all of them will do. So the
 * future is drawn many times: each time the shares of the options from their Dirichlet distributions after what was
 * measured and the rates of sign-ups from what was counted (`drawRates`), then from these how many come, and how many of
 * each group go each way; the band holds the middle `level` of all futures. People are taken to decide each for
 * themselves, by shares and rates that stay what they were.
 */
export function outlook(
  groups: readonly Group[],
  question: OutlookQuestion,
  arriving: readonly Arriving[] = [],
): Outlook {
  const draws = new Draws(question.seed);
  const partings = new Map<string, { place: number; parting: Parting }>();
  const joins = arriving.flatMap((one) => one.joins);
  for (const { paths } of [...groups, ...joins])
    for (const { choices } of paths)
      for (const { parting } of choices)
        if (!partings.has(parting.name)) partings.set(parting.name, { place: partings.size, parting });
  const present = groups.map(({ count, paths }) => ({
    count,
    paths: paths.map((path) => sumsOf(path, partings, question)),
  }));
  const coming = arriving.map(({ history, joins: own }) => ({
    history,
    joins: own.map(({ paths, ...join }) => ({
      ...join,
      paths: paths.map((path) => sumsOf(path, partings, question, join.later)),
    })),
  }));
  const beliefs = [...partings.values()].map(({ parting }) => belief(parting, question.measured));
  const futures = Array.from({ length: ROUNDS }, () => {
    const shares = beliefs.map((alphas) => draws.dirichlet(alphas));
    const own = sumsOfGroups(present, shares, { draws, days: question.days });
    const arrived = coming.flatMap(({ history, joins: days }) => {
      const rates = drawRates(history, draws);
      return days.map((join) => ({ count: drawArrivals(rates, join, draws), paths: join.paths }));
    });
    const others = sumsOfGroups(arrived, shares, { draws, days: question.days });
    return {
      ...{ own, others, both: added(own, others) },
      people: arrived.reduce((sum, { count }) => sum + count, 0),
    };
  });
  return {
    ...amountsOf(
      futures.map(({ own }) => own),
      question,
    ),
    newcomers: {
      ...amountsOf(
        futures.map(({ others }) => others),
        question,
      ),
      people: band(
        futures.map(({ people }) => people),
        question.level,
      ),
    },
    inAll: amountsOf(
      futures.map(({ both }) => both),
      question,
    ),
  };
}

function amountsOf(futures: readonly Sums[], { level, days }: OutlookQuestion): Amounts {
  const currencies = [...new Set(futures.flatMap(({ income }) => [...income.keys()]))].toSorted();
  const of = (value: (future: Sums) => number): Band => band(futures.map(value), level);
  return {
    mails: Array.from({ length: days }, (_, day) => of(({ mails }) => mails[day] ?? 0)),
    mailsInAll: of(({ mails }) => mails.reduce((sum, count) => sum + count, 0)),
    income: currencies.map((currency) => ({
      currency,
      amount: of(({ income }) => income.get(currency) ?? 0),
    })),
  };
}

/** What goes out beside them is certain: it moves the bands and does not widen them. */
export function withWaiting({ mails, mailsInAll, income }: Amounts, waiting: readonly number[]): Amounts {
  const more = ({ expected, low, high }: Band, count: number): Band => ({
    ...{ expected: expected + count, low: low + count, high: high + count },
  });
  return {
    mails: mails.map((one, day) => more(one, waiting[day] ?? 0)),
    mailsInAll: more(
      mailsInAll,
      waiting.reduce((sum, count) => sum + count, 0),
    ),
    income,
  };
}

function added(one: Sums, other: Sums): Sums {
  const income = new Map(one.income);
  for (const [currency, amount] of other.income) income.set(currency, (income.get(currency) ?? 0) + amount);
  return { mails: one.mails.map((count, day) => count + (other.mails[day] ?? 0)), income };
}

function sumsOfGroups(
  groups: readonly { count: number; paths: readonly PathSums[] }[],
  shares: readonly (readonly number[])[],
  { draws, days }: { draws: Draws; days: number },
): Sums {
  const sums: Sums = { mails: Array.from({ length: days }, () => 0), income: new Map() };
  for (const { count, paths } of groups) {
    if (count === 0) continue;
    const weights = paths.map(({ choices }) =>
      choices.reduce((product, [parting, option]) => product * (shares[parting]?.[option] ?? 0), 1),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (total <= 0) continue;
    const people = draws.multinomial(
      count,
      weights.map((weight) => weight / total),
    );
    for (const [place, number] of people.entries()) {
      if (number === 0) continue;
      for (const [day, mails] of paths[place]?.mails ?? [])
        sums.mails[day] = (sums.mails[day] ?? 0) + mails * number;
      for (const [currency, amount] of paths[place]?.income ?? [])
        sums.income.set(currency, (sums.income.get(currency) ?? 0) + amount * number);
    }
  }
  return sums;
}

function sumsOf(
  { choices, mails, income }: ForecastPath,
  partings: ReadonlyMap<string, { place: number }>,
  { dayOf, days }: OutlookQuestion,
  later = 0,
): PathSums {
  const isIn = (day: number): boolean => day >= 0 && day < days;
  const byDay = new Map<number, number>();
  for (const at of mails) byDay.set(dayOf(at) + later, (byDay.get(dayOf(at) + later) ?? 0) + 1);
  return {
    mails: [...byDay].filter(([day]) => isIn(day)),
    income: income
      .filter(({ at }) => isIn(dayOf(at) + later))
      .map(({ currency, amountMinor }) => [currency, amountMinor]),
    choices: choices.map(({ parting, option }) => [partings.get(parting.name)?.place ?? -1, option]),
  };
}

/** The mean, and the quantiles that leave out as much below as above. */
function band(values: readonly number[], level: number): Band {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return {
    expected: values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length),
    low: Math.floor(at((1 - level) / 2)),
    high: Math.ceil(at((1 + level) / 2)),
  };
}
