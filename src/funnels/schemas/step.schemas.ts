import { z } from 'zod';
import { TO_OWNERS, type DateSource, type ToOwners } from '../../sequences/steps/definition.js';
import { tagName } from '../../subscribers/subscribers.schemas.js';
import {
  condition,
  timedCondition,
  trigger,
  type FunnelCondition,
  type FunnelTrigger,
} from './condition.schemas.js';
import {
  duration,
  fieldName,
  key,
  moment,
  quietHours,
  template,
  text,
  weekdays,
  window,
} from './schema-parts.js';
import { localTime, strict } from '../../values/option-parts.js';
import { paths, split, type FunnelArm, type FunnelPaths, type FunnelSplit } from './split.schemas.js';

const moved = { plus: duration.optional(), minus: duration.optional() };
/** When a step runs: the same options for every kind that waits for nothing but its time. */
const timing = {
  delay: duration.optional(),
  at: localTime.optional(),
  onDays: weekdays.optional(),
  window: window.optional(),
  quietHours: quietHours.optional(),
  until: z
    .union([moment, strict({ field: fieldName, ...moved }), strict({ member: key, ...moved })])
    .optional(),
  expires: moment.optional(),
};

export interface FunnelTiming {
  delay?: string | undefined;
  at?: string | undefined;
  onDays?: z.infer<typeof weekdays> | undefined;
  window?: z.infer<typeof window> | undefined;
  quietHours?: z.infer<typeof quietHours> | undefined;
  until?: string | (DateSource & { plus?: string | undefined; minus?: string | undefined }) | undefined;
  expires?: string | undefined;
}

export type FunnelEmailStep = FunnelTiming & {
  key: string;
  email: string;
  offer?: string | undefined;
  deadline?: string | undefined;
  toOwners?: ToOwners | undefined;
  split?: FunnelSplit | undefined;
};
export type FunnelActionStep = FunnelTiming & { key: string } & (
    | { wait: string | true }
    | { tag: string | string[] }
    | { untag: string | string[] }
    | { set: Record<string, string | number | boolean | null> }
    | { move: string }
    | { webhook: string }
    | { notify: string }
    | { end: true }
  );
interface FunnelGoalStep {
  key: string;
  goal: FunnelTrigger | FunnelTrigger[];
  otherwise: 'continue' | 'end';
}
export interface FunnelBranchStep {
  key: string;
  if: FunnelCondition & { within?: string | undefined };
  then: FunnelStep[];
  else: FunnelStep[];
}
export interface FunnelSwitchStep {
  key: string;
  switch: { if: FunnelCondition; then: FunnelStep[] }[];
  within?: string | undefined;
  else: FunnelStep[];
}
export interface FunnelSplitStep {
  key: string;
  split: FunnelPaths<FunnelStep>;
}
export type FunnelStep =
  FunnelEmailStep | FunnelActionStep | FunnelGoalStep | FunnelBranchStep | FunnelSwitchStep | FunnelSplitStep;

const tags = z.union([tagName, z.array(tagName).min(1).max(20)]);
const address = z
  .url({ protocol: /^https?$/, error: 'use an address that begins with https:// or http://' })
  .max(2000);
const yes = z.literal(true, { error: 'use true' });

const emailStep = strict({
  key,
  email: template,
  offer: key.optional(),
  delay: duration.optional(),
  at: localTime.optional(),
  deadline: duration.optional(),
  toOwners: z.enum(TO_OWNERS, { error: 'use skip or send' }).optional(),
  onDays: timing.onDays,
  window: timing.window,
  quietHours: timing.quietHours,
  until: timing.until,
  expires: timing.expires,
  split: split.optional(),
});

const branchStep = strict({
  key,
  if: timedCondition,
  get then() {
    return z.array(step).default([]);
  },
  get else() {
    return z.array(step).default([]);
  },
});

const switchStep = strict({
  key,
  get switch() {
    return z
      .array(strict({ if: condition, then: z.array(step).default([]) }))
      .min(2, 'name at least two cases; for one, use if')
      .max(20);
  },
  within: duration.optional(),
  get else() {
    return z.array(step).default([]);
  },
});

const splitStep = strict({
  key,
  get split() {
    return paths(step);
  },
});

export const step: z.ZodType<FunnelStep> = z.lazy(() =>
  z.union([
    emailStep,
    branchStep,
    switchStep,
    splitStep,
    strict({ key, wait: z.union([duration, yes]), ...timing }),
    strict({ key, tag: tags, ...timing }),
    strict({ key, untag: tags, ...timing }),
    strict({
      key,
      set: z
        .record(fieldName, z.union([z.string().max(1000), z.number(), z.boolean(), z.null()]))
        .refine((fields) => Object.keys(fields).length > 0, 'name at least one field'),
      ...timing,
    }),
    strict({ key, move: key, ...timing }),
    strict({ key, webhook: address, ...timing }),
    strict({ key, notify: text(500), ...timing }),
    strict({
      key,
      goal: z.union([trigger, z.array(trigger).min(1).max(10)]),
      otherwise: z.enum(['continue', 'end'], { error: 'use continue or end' }).default('continue'),
    }),
    strict({ key, end: yes, ...timing }),
  ]),
) as z.ZodType<FunnelStep>;

/** The option by which each kind of step, condition and trigger is told from the others. */
export const KIND_OPTIONS: ReadonlySet<string> = new Set([
  ...['email', 'wait', 'if', 'switch', 'split', 'tag', 'untag', 'set', 'move', 'webhook', 'notify'],
  ...['goal', 'end'],
  ...['clicked', 'opened', 'purchased', 'member', 'affiliate', 'event', 'step', 'field', 'all', 'any', 'not'],
  ...['refunded', 'untagged', 'list', 'unlisted'],
]);

export function isMailStep(given: FunnelStep): given is FunnelEmailStep {
  return 'email' in given;
}

/** A split test of paths; that of an email step is of its mail. */
export function isSplitStep(given: FunnelStep): given is FunnelSplitStep {
  return 'split' in given && !('email' in given);
}

/** The ways a step branches into, with their places in the file; none for a step that does not. */
export function waysOf(given: FunnelStep): { steps: FunnelStep[]; path: readonly PropertyKey[] }[] {
  if ('if' in given)
    return [
      { steps: given.then, path: ['then'] },
      { steps: given.else, path: ['else'] },
    ];
  if (isSplitStep(given))
    return given.split.arms.map(({ steps }, index) => ({ steps, path: ['split', 'arms', index, 'steps'] }));
  if (!('switch' in given)) return [];
  const cases = given.switch.map(({ then: steps }, index) => ({ steps, path: ['switch', index, 'then'] }));
  return [...cases, { steps: given.else, path: ['else'] }];
}

export function isTimed(given: FunnelStep): given is FunnelEmailStep | FunnelActionStep {
  return !('if' in given) && !('switch' in given) && !('goal' in given) && !isSplitStep(given);
}

/** Every step with the path it has in the file, in the order of the file, branches included. */
export function allSteps(
  steps: readonly FunnelStep[],
  path: readonly PropertyKey[] = ['sequence', 'steps'],
): { step: FunnelStep; path: readonly PropertyKey[] }[] {
  return steps.flatMap((one, index) => {
    const here = [...path, index];
    const inside = waysOf(one).flatMap((way) => allSteps(way.steps, [...here, ...way.path]));
    return [{ step: one, path: here }, ...inside];
  });
}

/** The steps that send a mail, with their places. */
export function mailSteps(
  steps: readonly FunnelStep[],
): { step: FunnelEmailStep; path: readonly PropertyKey[] }[] {
  return allSteps(steps).flatMap(({ step: one, path }) => (isMailStep(one) ? [{ step: one, path }] : []));
}

/** Where the steps move people, with the places that say so. */
export function movesOf(steps: readonly FunnelStep[]): { to: string; path: readonly PropertyKey[] }[] {
  return allSteps(steps).flatMap(({ step: one, path }) =>
    'move' in one ? [{ to: one.move, path: [...path, 'move'] }] : [],
  );
}

/** Each arm of a step's split test as the step it would be alone; the step itself where there is no test. */
export function armSteps({ split: test, ...step }: FunnelEmailStep): {
  key: string;
  subject: string | undefined;
  step: FunnelEmailStep;
  own: Partial<FunnelArm>;
}[] {
  if (test === undefined) return [{ key: step.key, subject: undefined, step, own: {} }];
  return test.arms.map(({ key: arm, subject, email, offer, deadline, delay, at }) => {
    const given = Object.entries({ email, offer, deadline, delay, at });
    const own = Object.fromEntries(given.filter(([, value]) => value !== undefined));
    return { key: arm, subject, step: { ...step, ...own }, own };
  });
}

/** The mails a funnel may send by its steps, with their places. */
export function stepMails(
  steps: readonly FunnelStep[],
): { step: FunnelEmailStep; subject: string | undefined; path: readonly PropertyKey[] }[] {
  return mailSteps(steps).flatMap(({ step: one, path }) =>
    armSteps(one).map(({ step: mail, subject, own }, index) => ({
      ...{ step: mail, subject },
      path: own.email === undefined && subject === undefined ? path : [...path, 'split', 'arms', index],
    })),
  );
}
