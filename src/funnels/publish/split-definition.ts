import { createHash } from 'node:crypto';
import type { ExperimentTerms } from '../../experiments/experiment-terms.js';
import { DEFAULT_ALPHA, railsOf, rateOf } from '../../experiments/test-options.js';
import {
  isMail,
  type SequenceNode,
  type Split,
  type SplitArm,
  type SplitTest,
} from '../../sequences/steps/definition.js';
import { durationMs, parseDuration } from '../../values/duration.js';
import { parseMoney, parsePercentBps, type Money } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { longestMs, mostMails } from './path-length.js';
import type { FunnelSplit, FunnelTest } from '../schemas/split.schemas.js';
import {
  armSteps,
  type FunnelEmailStep,
  type FunnelSplitStep,
  type FunnelStep,
} from '../schemas/step.schemas.js';
import { DAY_MS, WEEK_MS } from '../../values/time-units.js';

const DEFAULT_HORIZON = '60 days';
const DEFAULT_WITHIN = { clicks: '3 days', revenue: '14 days' } as const;
/** Of each mail: what the large mail services take for the limit, and twice of what a good list loses by it. */
const DEFAULT_RAILS = { complaints: 0.003, unsubscribes: 0.02 };
const HIGHEST_RAIL = 0.5;
const DEFAULT_EXPLORE = 0.1;

/** `armOf` compiles the mail of an arm, whose step has the arm's options in place of its own. */
export function splitOf(
  definition: FunnelDefinition,
  step: FunnelEmailStep & { split: FunnelSplit },
  armOf: (step: FunnelEmailStep, subject: string | undefined) => Omit<SplitArm, 'key'>,
): Split {
  const arms = armSteps(step).map(({ key, subject, step: one }) => ({ key, ...armOf(one, subject) }));
  const terms = termsOf(definition, step.split, {
    withinMs: withinMs(definition, step),
    horizonMs: durationMs(parseDuration(step.split.horizon ?? DEFAULT_HORIZON)),
    isTimed: isTimedSplit(step),
  });
  return { ...testOf(`${definition.funnel}/${step.key}`, terms, arms), arms };
}

/** The test of a step whose arms are paths; `pathOf` compiles the steps of one. */
export function pathTestOf(
  definition: FunnelDefinition,
  { key: step, split }: FunnelSplitStep,
  pathOf: (steps: readonly FunnelStep[]) => SequenceNode[],
): SplitTest {
  const arms = split.arms.map(({ key, steps }) => ({ key, path: pathOf(steps) }));
  const { window = null, quietHours } = definition.sequence;
  const frame = quietHours === undefined ? { window } : { window, quietHours };
  const acts = durationMs(parseDuration(split.within ?? DEFAULT_WITHIN[split.judge]));
  const within = acts + Math.max(...arms.map(({ path }) => longestMs(path, frame)));
  const horizon = durationMs(parseDuration(split.horizon ?? DEFAULT_HORIZON));
  const terms: ExperimentTerms = {
    ...termsOf(definition, split, {
      withinMs: within,
      // Without a wish of the owner's, long paths leave as much time for people to come as short ones.
      horizonMs: split.horizon === undefined ? horizon + within : horizon,
      // People are drawn when they come here, whether their path begins with a mail or not.
      isTimed: true,
      mails: Math.max(1, ...arms.map(({ path }) => mostMails(path))),
    }),
    paths: Object.fromEntries(arms.map(({ key, path }) => [key, path.filter(isMail).map((one) => one.key)])),
  };
  return testOf(`${definition.funnel}/${step}`, terms, arms);
}

function testOf(test: string, terms: ExperimentTerms, arms: readonly unknown[]): SplitTest {
  const compared = createHash('sha256')
    .update(JSON.stringify([terms, arms]))
    .digest('hex');
  return { experiment: `${test}/${compared.slice(0, 16)}`, test, terms };
}

/** `mails`: how many an arm sends at most. */
function termsOf(
  definition: FunnelDefinition,
  split: FunnelTest,
  {
    withinMs: within,
    horizonMs,
    isTimed,
    mails = 1,
  }: { withinMs: number; horizonMs: number; isTimed: boolean; mails?: number },
): ExperimentTerms {
  const { judge, arms, alpha, holdout, optimise, explore } = split;
  return {
    judge,
    arms: arms.map(({ key, weight }) => ({ key, weight: weight ?? 1 })),
    alpha: alpha ?? DEFAULT_ALPHA,
    holdoutBps: holdout === undefined ? 0 : parsePercentBps(holdout),
    optimise:
      optimise === undefined ? null : { explore: explore === undefined ? DEFAULT_EXPLORE : rateOf(explore) },
    guardRails: guardRailsOf(split, mails),
    withinSeconds: within / 1_000,
    horizonSeconds: horizonMs / 1_000,
    cap: judge === 'clicks' ? null : (capOf(split) ?? dearestOrder(definition)),
    isTimed,
  };
}

function guardRailsOf(split: FunnelTest, mails: number): ExperimentTerms['guardRails'] {
  const { unsubscribes, complaints } = railsOf(split);
  const usual = (rate: number): number | null =>
    split.optimise === undefined ? null : Math.min(HIGHEST_RAIL, rate * mails);
  return {
    unsubscribes: unsubscribes ?? usual(DEFAULT_RAILS.unsubscribes),
    complaints: complaints ?? usual(DEFAULT_RAILS.complaints),
  };
}

/** Whether an arm sends at a time of its own: people are then drawn when they come to the step, not when it is due. */
function isTimedSplit(step: FunnelEmailStep & { split: FunnelSplit }): boolean {
  const timeOf = ({ delay, at }: FunnelEmailStep): string => JSON.stringify([delay ?? null, at ?? null]);
  return armSteps(step).some(({ step: arm }) => timeOf(arm) !== timeOf(step));
}

/**
 * How long after coming to the step a person counts: what the owner gives them to act, and, where people are drawn before
 * the mail goes, the longest time until it does in any arm. It is the same for all arms, or they could not be compared.
 */
export function withinMs(
  definition: FunnelDefinition,
  step: FunnelEmailStep & { split: FunnelSplit },
): number {
  const acts = durationMs(parseDuration(step.split.within ?? DEFAULT_WITHIN[step.split.judge]));
  if (!isTimedSplit(step)) return acts;
  const steps = armSteps(step).map(({ step: one }) => one);
  const delays = steps.map(({ delay }) => (delay === undefined ? 0 : durationMs(parseDuration(delay))));
  const hour = steps.some(({ at }) => at !== undefined) ? DAY_MS : 0;
  const { window, quietHours } = definition.sequence;
  const isKeptBack = [step.onDays, step.window, step.quietHours, window, quietHours].some(
    (one) => one !== undefined,
  );
  return acts + Math.max(...delays) + hour + (isKeptBack ? WEEK_MS : 0);
}

function capOf({ cap }: FunnelTest): Money | null {
  return cap === undefined ? null : parseMoney(cap);
}

/** What one order of the funnel can come to at most: beyond it lies only a second one. Null without an offer. */
export function dearestOrder({ offers, products }: FunnelDefinition): Money | null {
  const priceOf = (key: string | undefined): Money | null => {
    const product = products.find((one) => one.key === key);
    return product === undefined ? null : parseMoney(product.price);
  };
  return offers.reduce<Money | null>((most, { product, bump }) => {
    const main = priceOf(product);
    if (main === null) return most;
    const amountMinor = main.amountMinor + (priceOf(bump)?.amountMinor ?? 0);
    return most !== null && most.amountMinor >= amountMinor ? most : { ...main, amountMinor };
  }, null);
}
