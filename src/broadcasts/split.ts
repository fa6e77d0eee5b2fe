import { z } from 'zod';
import { assign } from '../experiments/assign.js';
import { HOLDOUT } from '../segments/held-out.js';
import type { ExperimentTerms } from '../experiments/experiment-terms.js';
import { DEFAULT_ALPHA, railsOf, readableBps, testOptions } from '../experiments/test-options.js';
import { plannedShares } from '../experiments/test-plan.js';
import { nextShares } from '../experiments/thompson.js';
import { DomainError } from '../values/domain-error.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../values/header-text.js';
import { isCurrency, parsePercentBps, FULL_BPS } from '../values/money.js';
import { localTime } from '../values/option-parts.js';
import { broadcastOfferSchema, firstEnd, type BroadcastOffer } from './broadcast-offer.js';
import type { ArmTime, BroadcastTiming } from './timing.js';

const MAX_ARMS = 5;
const MINUTES_A_WEEK = 7 * 24 * 60;
const CURRENCY_ADVICE = 'use the ISO 4217 code of a currency, such as EUR';

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
  .strictObject({
    subject: subjectSchema.optional(),
    template: templateSchema.optional(),
    at: localTime.optional().meta({
      description:
        'Hour of this arm, such as `20:00`, in place of the time of day of `atLocal`, with which the broadcast is then started. What comes up in a pause goes at the next such hour after it.',
    }),
    delayMinutes: z
      .number()
      .int()
      .min(1)
      .max(MINUTES_A_WEEK, 'at most a week, 10080 minutes')
      .optional()
      .meta({
        description:
          'So much later than without it does this arm go, counted from when each of its mails would be due. The rest, if it wins, waits as long from the decision on.',
      }),
    offer: broadcastOfferSchema.optional().meta({ description: 'In place of what the broadcast offers.' }),
  })
  .refine(({ at, delayMinutes }) => at === undefined || delayMinutes === undefined, {
    path: ['delayMinutes'],
    message: 'an arm goes at an hour of its own or so much later, not both',
  })
  .meta({ description: 'What is different in this arm; `{}` is the mail as it is.' });

/** Named, so that who looks for it is told where it is; an option that does nothing would be worse than none. */
const NOT_HERE =
  'a broadcast goes to everybody once, so shares that move with what was learnt come too late for it: what works best in the test goes to the rest. The split test of a step of a sequence, to which people come day by day, takes optimise: thompson for its delays and hours';
/** A part of the audience gets the arms; what works best there goes to the rest. */
export const splitSchema = z
  .strictObject(
    {
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
      waitMinutes: z.number().int().min(1).max(MINUTES_A_WEEK, 'at most a week, 10080 minutes').meta({
        description: 'How long readers have, from the moment when every mail of the test was tried.',
      }),
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
      alpha: testOptions.alpha.meta({
        description: 'The chance of a false winner, from 0.001 to 0.2; left out: 0.05.',
      }),
      holdout: testOptions.holdout.meta({
        description:
          'Part of the audience, such as `10%`, that gets nothing: neither an arm nor the winner, nor the same once more. The results compare it with those who got the mail, by revenue per recipient.',
      }),
      guardRails: testOptions.guardRails.meta({
        description:
          'An arm that is shown to have more of these than allowed, such as `{"unsubscribes": "2%", "complaints": "0.3%"}`, is stopped: who waits for its mail gets that of another arm, and it cannot win.',
      }),
    },
    {
      error: (issue) =>
        issue.code === 'unrecognized_keys' &&
        issue.keys.some((key) => key === 'optimise' || key === 'explore')
          ? `${issue.keys.join(', ')}: ${NOT_HERE}`
          : undefined,
    },
  )
  .refine(({ judge, revenueCap }) => (judge === 'revenue') === (revenueCap !== undefined), {
    path: ['revenueCap'],
    message: 'give it with the judge revenue, and with no other',
  })
  .refine(
    ({ arms }) =>
      arms.every(({ at }) => at === undefined) ||
      arms.every(({ delayMinutes }) => delayMinutes === undefined),
    { path: ['arms'], message: 'arms differ in their hours or in their delays, not in both' },
  )
  .superRefine(({ testPercent, holdout }, context) => {
    const heldOutBps = holdout === undefined ? null : readableBps(holdout);
    if (heldOutBps === null || testPercent * 100 + heldOutBps < FULL_BPS) return;
    const message = `with testPercent ${testPercent} it leaves nobody for the winner; together they must stay below 100 %`;
    context.addIssue({ code: 'custom', path: ['holdout'], message });
  });

export type Split = z.output<typeof splitSchema>;

/** Words of a mail: its template, and a subject in place of the template's own. */
export interface Words {
  template: string;
  subject: string | null;
  /** Of an arm that has an hour of its own. */
  at?: string;
  /** Of an arm that goes later than the others. */
  delayMinutes?: number;
  /** What it offers; of an arm with none of its own that of the broadcast. */
  offer?: BroadcastOffer;
}

/** The versions of its mail, and of each arm where arms are tried. */
export interface PublishedWords {
  templateId: string;
  armTemplateIds: string[] | null;
}

/** Beside the letters of the arms, what goes to who was not in the test. */
export const REST = 'rest';

/** `a`, `b` and on. */
export function armKey(arm: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + arm);
}

/** Whether arms differ in their hour. */
export function hasHours({ arms }: Pick<Split, 'arms'>): boolean {
  return arms.some(({ at }) => at !== undefined);
}

/** Whether arms differ in when they send. */
export function isTimed({ arms }: Pick<Split, 'arms'>): boolean {
  return hasHours({ arms }) || arms.some(({ delayMinutes }) => delayMinutes !== undefined);
}

/** What the beginning of a broadcast hangs on beside its timing. */
export function startOf(broadcast: Ending): {
  expiresAt: Date | null;
  priceEnds: boolean;
  waitMinutes: number | undefined;
  arms: ArmTime[];
  hasRails: boolean;
} {
  const { split } = broadcast;
  const expiresAt = endOf(broadcast);
  return {
    expiresAt,
    priceEnds: expiresAt?.getTime() !== broadcast.expiresAt?.getTime(),
    waitMinutes: split?.waitMinutes,
    arms: split?.arms ?? [],
    hasRails: split?.guardRails !== undefined,
  };
}

interface Ending {
  split: Split | null;
  offer?: BroadcastOffer | null | undefined;
  expiresAt: Date | null;
}

/** No mail of it goes from then on: it expires, or a price that its mails tell has ended. */
export function endOf({ split, offer, expiresAt }: Ending): Date | null {
  const priceEnd = firstEnd([offer, ...(split?.arms.map((arm) => arm.offer) ?? [])]);
  if (priceEnd === null || (expiresAt !== null && expiresAt < priceEnd)) return expiresAt;
  return priceEnd;
}

/** The words of each arm; those of the broadcast itself when it tests nothing. */
export function wordsOf({
  template,
  subject = null,
  split = null,
  offer = null,
}: {
  template: string;
  subject?: string | null | undefined;
  split?: Split | null | undefined;
  offer?: BroadcastOffer | null | undefined;
}): Words[] {
  if (split === null) return [{ template, subject, ...(offer === null ? {} : { offer }) }];
  return split.arms.map((arm) => {
    const offered = arm.offer ?? offer;
    return {
      template: arm.template ?? template,
      // A subject was written for its mail: another mail brings its own.
      subject: arm.subject ?? (arm.template === undefined ? subject : null),
      ...(arm.at === undefined ? {} : { at: arm.at }),
      ...(arm.delayMinutes === undefined ? {} : { delayMinutes: arm.delayMinutes }),
      ...(offered === null ? {} : { offer: offered }),
    };
  });
}

/** Two arms with the same words and offer at the same time, by their places; null when all differ. */
export function sameArms(words: readonly Words[]): [number, number] | null {
  const seen = new Map<string, number>();
  for (const [place, one] of words.entries()) {
    const { at = null, delayMinutes = null } = one;
    const text = JSON.stringify([contentOf(one), at, delayMinutes]);
    const before = seen.get(text);
    if (before !== undefined) return [before, place];
    seen.set(text, place);
  }
  return null;
}

/**
 * Of arms without an hour of their own that of the start counts, and then two may be one mail at one hour. Throws
 * `BROADCAST_SPLIT_INVALID`.
 */
export function checkArmHours(
  broadcast: Parameters<typeof wordsOf>[0],
  { local }: Pick<BroadcastTiming, 'local'>,
): void {
  const { split = null } = broadcast;
  if (split === null || !hasHours(split) || local === null) return;
  const [, hour = ''] = local.atLocal.split('T');
  const same = sameArms(wordsOf(broadcast).map((words) => ({ ...words, at: words.at ?? hour })));
  if (same === null) return;
  const message = `split.arms: arms ${same[0] + 1} and ${same[1] + 1} are the same mail at the same hour, ${hour}; start it at another, or give one of them another`;
  throw new DomainError('BROADCAST_SPLIT_INVALID', message, { field: 'split.arms' });
}

/** Whether a mail says what one of those has said, at whatever time. */
export function saysTheSame(one: Words, others: readonly Words[]): boolean {
  return others.some((other) => contentOf(other) === contentOf(one));
}

function contentOf({ template, subject, offer }: Words): string {
  return JSON.stringify([template, subject, offer?.key, offer?.discount, offer?.until]);
}

/** The test as the statistics want it. */
export function termsOf(split: Split): ExperimentTerms {
  const { arms, judge, waitMinutes, alpha = DEFAULT_ALPHA, holdout, revenueCap } = split;
  return {
    arms: arms.map((_, arm) => ({ key: armKey(arm), weight: 1 })),
    holdoutBps: holdout === undefined ? 0 : parsePercentBps(holdout),
    ...{ judge, alpha, optimise: null, guardRails: railsOf(split) },
    withinSeconds: waitMinutes * 60,
    horizonSeconds: waitMinutes * 60,
    cap: revenueCap ?? null,
    isTimed: isTimed(split),
  };
}

/** The place of an arm; else they wait for the winner, or get nothing. */
export type Drawn = number | typeof REST | typeof HOLDOUT;

/** Draws the recipients of a broadcast: the same person always the same. */
export function drawing({ id, split }: { id: string; split: Split }): (subscriberId: string) => Drawn {
  const terms = termsOf(split);
  const shares = plannedShares(terms);
  const test = { test: `broadcast:${id}`, arms: terms.arms };
  // Who is not in the test is to the test what a holdout is; those who are held out are a part of them.
  const untriedBps = FULL_BPS - split.testPercent * 100;
  return (subscriberId) => {
    const key = assign({ ...test, holdoutBps: untriedBps }, shares, subscriberId);
    if (key !== HOLDOUT) return terms.arms.findIndex((arm) => arm.key === key);
    const isHeldOut = assign({ ...test, holdoutBps: terms.holdoutBps }, shares, subscriberId) === HOLDOUT;
    return isHeldOut ? HOLDOUT : REST;
  };
}

/**
 * As the ledger marks a mail that is other than its reader was drawn for, because their arm was stopped: it has the words
 * of an arm and counts for none.
 */
export function givenArm(arm: number): number {
  return -1 - arm;
}

/** The arm whose words a mail has, by the mark of the ledger. */
export function armOfWords(marked: number): number {
  return marked < 0 ? -1 - marked : marked;
}

/** The marks that mails of a test may have, whether they have the words that they were drawn for or were given. */
export function allMarks({ arms }: Split): number[] {
  return arms.flatMap((_, arm) => [arm, givenArm(arm)]);
}

/** The marks of mails that get other words than they have, as long as they have not left. */
export function marksToGive({ split, stopped }: { split: Split; stopped: ReadonlySet<number> }): number[] {
  const areAll = stopped.size >= split.arms.length;
  return [...stopped].filter((arm) => !areAll || arm > 0).flatMap((arm) => [arm, givenArm(arm)]);
}

/**
 * The arm that somebody gets whose own was stopped. Where every arm is, the owner was asked and has let it go on with the
 * first.
 */
export function armInstead(
  { id, split, stopped }: { id: string; split: Split; stopped: ReadonlySet<number> },
  subscriberId: string,
): number {
  if (stopped.size >= split.arms.length) return 0;
  const terms = termsOf(split);
  const shares = nextShares(terms, [], stopped);
  // Another lot than the one that drew their arm: that one falls the same way for all who have it.
  const test = { test: `broadcast:${id}:instead`, arms: terms.arms, holdoutBps: 0 };
  const key = assign(test, shares, subscriberId);
  return terms.arms.findIndex((arm) => arm.key === key);
}
