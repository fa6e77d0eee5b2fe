import type { Money } from '../values/money.js';

export interface FunnelCounts {
  visitors: number;
  signUps: number;
  confirmed: number;
  offerViews: number;
  /** Paid in the period, refunded since or not; those of upsells are counted apart. */
  orders: number;
  refunds: number;
}

/** What became of an offer that is made after orders. `revenue` is without what was refunded. */
export interface UpsellCounts {
  offer: string;
  shown: number;
  taken: number;
  declined: number;
  revenue: Money;
}

export interface FunnelRates {
  signUp: number | null;
  confirmation: number | null;
  offerView: number | null;
  order: number | null;
  visitorToOrder: number | null;
}

/** A step of the sequence that sends a mail. */
export interface MailStep {
  key: string;
  kind: string;
  template: string | null;
  /** The arms of splits whose path it lies on, from the outermost; empty for a step that everybody comes to or asks for. */
  path: { split: string; arm: string }[];
}

export interface StepCounts {
  stepKey: string;
  template: string;
  sent: number;
  opened: number;
  openedMachine: number;
  clicked: number;
}

export interface StepReport extends MailStep {
  sent: number;
  opened: number;
  openedMachine: number;
  clicked: number;
  openRate: number | null;
  clickRate: number | null;
}

/**
 * `part / whole` from 0 to 1; null when there is no whole, which is not a rate of 0. Never above 1: somebody who was
 * entered through the API was no visitor, and 140 % would only raise the question what it means.
 */
export function rateOf(part: number, whole: number): number | null {
  return whole <= 0 ? null : Math.min(1, part / whole);
}

/** Each rate against the stage before it; `visitorToOrder` across the whole funnel. */
export function funnelRates(counts: FunnelCounts): FunnelRates {
  return {
    signUp: rateOf(counts.signUps, counts.visitors),
    confirmation: rateOf(counts.confirmed, counts.signUps),
    offerView: rateOf(counts.offerViews, counts.confirmed),
    order: rateOf(counts.orders, counts.offerViews),
    visitorToOrder: rateOf(counts.orders, counts.visitors),
  };
}

/**
 * The mail steps in the order of the sequence as it is now, each with its numbers (zeros while nothing was sent). Steps
 * that are gone from the sequence but have sent something follow at the end: history must not vanish with an edit.
 */
export function stepReports(steps: readonly MailStep[], counts: readonly StepCounts[]): StepReport[] {
  const byKey = new Map(counts.map((count) => [count.stepKey, count]));
  const known = new Set(steps.map(({ key }) => key));
  const gone = counts
    .filter(({ stepKey }) => !known.has(stepKey))
    .map(({ stepKey, template }): MailStep => ({ key: stepKey, kind: 'removed', template, path: [] }));
  return [...steps, ...gone].map((step) => {
    const { sent, opened, openedMachine, clicked } = byKey.get(step.key) ?? NOTHING;
    return {
      ...step,
      sent,
      opened,
      openedMachine,
      clicked,
      openRate: rateOf(opened, sent),
      clickRate: rateOf(clicked, sent),
    };
  });
}

/** The amount in the funnel's own currency, 0 when there is none; other currencies are never added to it. */
export function mainRevenue(revenues: readonly Money[], currency: string): Money {
  return revenues.find((revenue) => revenue.currency === currency) ?? { amountMinor: 0, currency };
}

const NOTHING = { sent: 0, opened: 0, openedMachine: 0, clicked: 0 };
