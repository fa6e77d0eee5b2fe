import type { BroadcastState } from '../../broadcasts/broadcast-status.js';
import type { Money } from '../../values/money.js';

/** One thing that happens to one person. `step` is the key of a step of `sequence`. */
export type Happening =
  | { what: 'signed up' | 'confirmed' | 'unsubscribed' | 'became affiliate' }
  | {
      what: 'mail';
      kind: 'confirmation' | 'sequence' | 'receipt' | 'broadcast';
      sequence?: string;
      /** Of a broadcast its key. */
      step?: string;
      template?: string;
    }
  /** A mail that was planned and does not go. Without a sequence it is that of the broadcast with this key. */
  | { what: 'cancelled'; sequence?: string; step: string; reason: string }
  /**
   * A mail that waits for the frequency cap, for the next opening of its hours, for the end of its reader's pause, or, with
   * no time that is known, until the owner goes on with its broadcast.
   */
  | { what: 'held'; sequence?: string; step: string; until: string | null; reason: string }
  /** The person wants no marketing mail until then, and has some again from then on. */
  | { what: 'paused'; until: string }
  | { what: 'pause over' }
  /** The price of an offer holds for the person until then; null: without an end. */
  | { what: 'offer'; sequence: string; step: string; offer: string; price: Money; until: string | null }
  | { what: 'joined'; sequence: string }
  /** `occurrence`: how manieth time the person is in the sequence. */
  | { what: 'waits'; sequence: string; occurrence: number; step: string; until: string; watches: string[] }
  /** What came of a step that is no mail, or whose mail was passed over. */
  | { what: 'step'; sequence: string; step: string; outcome: string; does?: string }
  | { what: 'exited'; sequence: string; reason: string }
  | { what: 'completed'; sequence: string }
  /** `sentAt` says which mail, where a step has sent several. */
  | { what: 'opened' | 'clicked'; sequence?: string; step: string; sentAt: string }
  | { what: 'event'; event: string; key?: string }
  | { what: 'tagged'; tag: string }
  | { what: 'untagged'; tag: string }
  | { what: 'listed' | 'unlisted'; list: string }
  | { what: 'changed'; fields: Record<string, string | number | boolean | null> }
  /** `upsell`: it was shown after an order that stands before it. */
  | {
      what: 'bought';
      offer: string;
      products: string[];
      total: Money;
      discounted: boolean;
      upsell?: 'upsell' | 'downsell';
    }
  /**
   * `products`: those that went back with the money. `isPart`: something of the order is left. `paidAt` says which order,
   * where the person has several.
   */
  | { what: 'refunded'; offer: string; products: string[]; total: Money; paidAt: string; isPart?: true }
  /** What is shown after a payment, at its price of then. */
  | { what: 'shown'; kind: 'upsell' | 'downsell'; offer: string; price: Money }
  | { what: 'declined'; offer: string }
  /** The answer to it does not count any more. */
  | { what: 'over'; offer: string; reason: 'expired' | 'owned' | 'refunded' }
  /** What the affiliate has earned by the order that stands before it, and loses again by its refund. */
  | { what: 'commission'; affiliate: string; amount: Money; dueAt: string }
  | { what: 'clawed back'; affiliate: string; amount: Money }
  /** A membership began, or ends at another time; null: it has no end. */
  | { what: 'member'; product: string; until: string | null }
  | { what: 'membership over'; product: string; state: 'ended' | 'refunded' }
  /** A step whose time cannot be worked out: it is tried again an hour later. */
  | { what: 'stuck'; sequence: string; step: string; reason: string };

/** `at` is ISO 8601 in UTC. */
export type TimelineEntry = { at: string } & Happening;

export interface PersonTimeline {
  persona: string;
  /** From 1 within the persona. */
  number: number;
  /** Null: not known, the sequence falls back to its own. */
  timeZone: string | null;
  timeline: TimelineEntry[];
}

export interface SimulationSummary {
  people: number;
  mails: number;
  /** By sequence and step, in the order of the first mail; mails around them by their kind. */
  mailsByStep: { sequence: string | null; step: string; mails: number }[];
  purchases: number;
  refunds: number;
  /** One amount for each currency, by its code; what was refunded is taken off. */
  income: Money[];
  /** Of that, what affiliates get. */
  commissions: Money[];
  /** Upsells and downsells. What was taken is in the purchases and the income too. */
  upsells: { shown: number; taken: number; declined: number; income: Money[] };
  unsubscribed: number;
  /** Of sequences. */
  completed: number;
  exited: number;
}

/** What became of a broadcast as a whole; how many of its mails went stands in the summary. */
export interface BroadcastOutcome {
  broadcast: string;
  /** When its audience was frozen; null: it does not begin in the time of the simulation. */
  beganAt: string | null;
  /** How it stands at the end. */
  state: BroadcastState;
  /** Those who are held out of its split test among them. */
  recipients: number;
  /** Arms of its split test that broke a guard rail. */
  stoppedArms: string[];
  /** Of its split test. */
  decision: { at: string; arm: string; verdict: 'winner' | 'no_winner'; text: string } | null;
}

export interface Simulation {
  funnel: string;
  start: string;
  days: number;
  people: PersonTimeline[];
  broadcasts: BroadcastOutcome[];
  summary: SimulationSummary;
}

/**
 * What happened at one moment, with each mail of a sequence where its step stands: before what comes of later steps, and
 * before the wait for them. Mails are told last, as they are sent when all steps have run.
 */
export function mailsInOrder(
  entries: readonly TimelineEntry[],
  placeOf: (sequence: string, step: string) => number,
): TimelineEntry[] {
  const ordered: TimelineEntry[] = entries.filter((entry) => !isStepMail(entry));
  for (const mail of entries.filter(isStepMail)) {
    const { sequence = '', step = '' } = mail;
    const isBehind = (entry: TimelineEntry): boolean => {
      if (!('sequence' in entry) || entry.sequence !== sequence) return false;
      if (entry.what === 'waits' || entry.what === 'completed' || entry.what === 'exited') return true;
      if (entry.what === 'offer') return placeOf(sequence, entry.step) >= placeOf(sequence, step);
      const isStep = entry.what === 'step' || isStepMail(entry);
      return isStep && placeOf(sequence, entry.step ?? '') > placeOf(sequence, step);
    };
    const place = ordered.findIndex(isBehind);
    ordered.splice(place < 0 ? ordered.length : place, 0, mail);
  }
  return ordered;
}

function isStepMail(entry: TimelineEntry): entry is Extract<TimelineEntry, { what: 'mail' }> {
  return entry.what === 'mail' && entry.kind === 'sequence';
}

export function summaryOf(people: readonly PersonTimeline[]): SimulationSummary {
  const entries = people.flatMap(({ timeline }) => timeline);
  const all = <W extends Happening['what']>(what: W): Extract<TimelineEntry, { what: W }>[] =>
    entries.filter((entry): entry is Extract<TimelineEntry, { what: W }> => entry.what === what);
  const bought = all('bought');
  const taken = bought.filter(({ upsell }) => upsell !== undefined);
  const totals = (orders: readonly { total: Money }[]): Money[] => orders.map(({ total }) => total);
  return {
    people: people.length,
    mails: all('mail').length,
    mailsByStep: mailsByStep(all('mail')),
    purchases: bought.length,
    refunds: all('refunded').length,
    income: sums(totals(bought), totals(all('refunded'))),
    commissions: sums(
      all('commission').map(({ amount }) => amount),
      all('clawed back').map(({ amount }) => amount),
    ),
    upsells: {
      shown: all('shown').length,
      taken: taken.length,
      declined: all('declined').length,
      income: sums(totals(taken), []),
    },
    unsubscribed: all('unsubscribed').length,
    completed: all('completed').length,
    exited: all('exited').length,
  };
}

function mailsByStep(
  mails: readonly Extract<Happening, { what: 'mail' }>[],
): SimulationSummary['mailsByStep'] {
  const steps = new Map<string, SimulationSummary['mailsByStep'][number]>();
  for (const { kind, sequence = null, step = kind } of mails) {
    const name = `${sequence ?? ''} ${step}`;
    const known = steps.get(name) ?? { sequence, step, mails: 0 };
    known.mails++;
    steps.set(name, known);
  }
  return [...steps.values()];
}

/** By currency. */
function sums(earned: readonly Money[], lost: readonly Money[]): Money[] {
  const sum = new Map<string, number>();
  const add = ({ amountMinor, currency }: Money, sign: 1 | -1): void => {
    sum.set(currency, (sum.get(currency) ?? 0) + sign * amountMinor);
  };
  for (const money of earned) add(money, 1);
  for (const money of lost) add(money, -1);
  return [...sum]
    .map(([currency, amountMinor]) => ({ amountMinor, currency }))
    .toSorted((a, b) => (a.currency < b.currency ? -1 : 1));
}
