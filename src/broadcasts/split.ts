import { z } from 'zod';
import { assign, HOLDOUT } from '../experiments/assign.js';
import { decide, type Verdict } from '../experiments/decide.js';
import { plannedShares, type Cohort, type TestPlan } from '../experiments/test-plan.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { isCurrency } from '../values/money.js';

const MAX_ARMS = 5;
const MINUTES_A_WEEK = 7 * 24 * 60;
const CURRENCY_ADVICE = 'use the ISO 4217 code of a currency, such as EUR';
/** The chance of a false winner. */
const ALPHA = 0.05;

export const subjectSchema = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(300, 'at most 300 characters')
  .regex(HEADER_TEXT, HEADER_TEXT_ADVICE)
  .meta({ description: 'In place of the subject in the template; may print variables.' });
export const templateSchema = z
  .string()
  .regex(
    /^[a-z0-9-]+(\/[a-z0-9-]+)+$/,
    'use the path below templates/ without its ending, such as emails/story',
  )
  .meta({ description: 'The mail, as a path below `templates/`. Its words are frozen at the start.' });

const armSchema = z
  .strictObject({ subject: subjectSchema.optional(), template: templateSchema.optional() })
  .meta({ description: 'What is different in this arm; `{}` is the mail as it is.' });

/** A part of the audience gets the arms; what works best there goes to the rest. */
export const splitSchema = z
  .strictObject({
    arms: z
      .array(armSchema)
      .min(2, 'a test has at least two arms')
      .max(MAX_ARMS, `at most ${MAX_ARMS} arms`)
      .meta({ description: 'The first is what the rest gets when nothing wins.' }),
    testPercent: z
      .number()
      .int()
      .min(1)
      .max(90, 'at most 90: the rest is who the winner is for')
      .meta({ description: 'Part of the audience the arms are tried on, in percent.' }),
    waitMinutes: z
      .number()
      .int()
      .min(1)
      .max(MINUTES_A_WEEK, 'at most a week, 10080 minutes')
      .meta({ description: 'How long readers have, from the moment when every mail of the test was tried.' }),
    judge: z
      .enum(['clicks', 'revenue'])
      .meta({ description: 'Readers with a click that a person made, or money per reader.' }),
    revenueCap: z
      .strictObject({
        amountMinor: z.number().int().min(1),
        currency: z
          .string()
          .regex(/^[A-Z]{3}$/, { error: CURRENCY_ADVICE, abort: true })
          .refine(isCurrency, CURRENCY_ADVICE),
      })
      .optional()
      .meta({
        description:
          'With `revenue`: each reader counts up to this, so that one large order cannot win; orders in other currencies do not count.',
      }),
  })
  .refine(({ judge, revenueCap }) => (judge === 'revenue') === (revenueCap !== undefined), {
    path: ['revenueCap'],
    message: 'give it with the judge revenue, and with no other',
  });

export type Split = z.output<typeof splitSchema>;

/** What became of the test. */
export interface SplitDecision {
  verdict: 'winner' | 'no_winner';
  /** Of an arm that did not win: why none did. */
  because: Extract<Verdict, { kind: 'no_winner' }>['because'] | null;
  /** Place of the arm that goes to the rest. */
  arm: number;
  at: string;
}

/** How one arm of the test fares. */
export interface ArmFigures {
  arm: number;
  /** Mails that were taken by a relay. */
  sent: number;
  /** Readers with a click that a person made. */
  clickers: number;
  /** Orders of its readers since their mail, in the currency of the cap. */
  revenueMinor: number;
  /** The same per reader who bought, each up to the cap. */
  capped: { amountMinor: number; readers: number }[];
}

/** Words of a mail: its template, and a subject in place of the template's own. */
export interface Words {
  template: string;
  subject: string | null;
}

/** The versions of its mail, and of each arm where arms are tried. */
export interface PublishedWords {
  templateId: string;
  armTemplateIds: string[] | null;
}

/** `a`, `b` and on. */
export function armKey(arm: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + arm);
}

/** The words of each arm; those of the broadcast itself when it tests nothing. */
export function wordsOf({
  template,
  subject = null,
  split = null,
}: {
  template: string;
  subject?: string | null | undefined;
  split?: Split | null | undefined;
}): Words[] {
  if (split === null) return [{ template, subject }];
  return split.arms.map((arm) => ({
    template: arm.template ?? template,
    // A subject was written for its mail: another mail brings its own.
    subject: arm.subject ?? (arm.template === undefined ? subject : null),
  }));
}

/** Two arms with the same words, by their places; null when all differ. */
export function sameArms(words: readonly Words[]): [number, number] | null {
  const seen = new Map<string, number>();
  for (const [place, one] of words.entries()) {
    const text = JSON.stringify([one.template, one.subject]);
    const before = seen.get(text);
    if (before !== undefined) return [before, place];
    seen.set(text, place);
  }
  return null;
}

/** The test as the statistics want it. */
export function planOf({ arms, testPercent, judge }: Split): TestPlan {
  return {
    arms: arms.map((_, arm) => ({ key: armKey(arm), weight: 1 })),
    // Who is not in the test is to the test what a holdout is.
    holdoutBps: 10_000 - testPercent * 100,
    judge,
    alpha: ALPHA,
    optimise: null,
    guardRails: { unsubscribes: null, complaints: null },
  };
}

/** The arm of a recipient; null: they are of the rest, and wait for the winner. */
export function armOf({ id, split }: { id: string; split: Split }, subscriberId: string): number | null {
  const plan = planOf(split);
  const key = assign({ test: `broadcast:${id}`, ...plan }, plannedShares(plan), subscriberId);
  return key === HOLDOUT ? null : plan.arms.findIndex((arm) => arm.key === key);
}

/** The figures as the statistics want them. */
export function cohortsOf(split: Split, figures: readonly ArmFigures[]): Cohort[] {
  const shares = plannedShares(planOf(split));
  const cap = split.revenueCap?.amountMinor ?? 1;
  return split.arms.map((_, arm) => {
    const own = figures.find((one) => one.arm === arm);
    const sent = own?.sent ?? 0;
    const outcomes =
      split.judge === 'clicks'
        ? [{ value: 1, count: own?.clickers ?? 0 }]
        : (own?.capped ?? []).map(({ amountMinor, readers }) => ({
            value: amountMinor / cap,
            count: readers,
          }));
    return {
      arm,
      period: 0,
      shares,
      people: sent,
      reached: sent,
      outcomes: outcomes.filter(({ count }) => count > 0),
    };
  });
}

/** What the test comes to when its time is up, by what its arms have brought until `now`. */
export function decisionOf(split: Split, figures: readonly ArmFigures[], now: Date): SplitDecision {
  const plan = planOf(split);
  const { verdict } = decide(plan, { cohorts: cohortsOf(split, figures), harms: [], isOver: true });
  return {
    verdict: verdict.kind === 'winner' ? 'winner' : 'no_winner',
    because: verdict.kind === 'no_winner' ? verdict.because : null,
    arm: verdict.kind === 'winner' ? plan.arms.findIndex(({ key }) => key === verdict.arm) : 0,
    at: now.toISOString(),
  };
}

const WHY_NONE: Readonly<Record<NonNullable<SplitDecision['because']>, string>> = {
  horizon: 'no arm was shown to be better',
  sample_ratio: 'the arms did not reach as many people as planned, so that no result can be believed',
  guard_rails: 'the other arms were stopped',
};

/** For people: what the test came to. */
export function decisionText({ verdict, because, arm }: SplitDecision): string {
  const key = armKey(arm).toUpperCase();
  if (verdict === 'winner') return `Arm ${key} won and goes to the rest.`;
  return `No winner: ${WHY_NONE[because ?? 'horizon']}. The rest gets arm ${key}, the first.`;
}
