import { z } from 'zod';
import {
  FIELD_CHANGES,
  FIELD_OPERATORS,
  isMailTrigger,
  MEMBER_STATES,
  type AskedValue,
  type Condition,
  type EntryTrigger,
  type FieldOperator,
  type MemberState,
  type StepOutcome,
  type Trigger,
} from '../../sequences/steps/condition.js';
import { isAddress } from '../../segments/compile-field.js';
import { eventName } from '../../sequences/sequences.schemas.js';
import { isDate } from '../../subscribers/field.js';
import { tagName } from '../../subscribers/subscribers.schemas.js';
import { affiliateCode, duration, fieldName, key } from './schema-parts.js';
import { readBy, strict } from '../../values/option-parts.js';

/** `{ clicked: story }`, `{ field: country, is: DE }`, `{ any: [...] }`: what a branch asks, as people write it. */
export type FunnelCondition =
  | { clicked: string }
  | { opened: string }
  | { tag: string }
  | { untagged: string }
  | { list: string }
  | { unlisted: string }
  | { purchased: string }
  | { refunded: string }
  | { member: string; state?: MemberState | undefined }
  | { affiliate: string }
  | { event: string; since?: 'step' | 'sequence' | undefined }
  | { step: string; was: StepOutcome }
  | { split: string; arm: string; sequence?: string | undefined }
  | ({ field: string } & Partial<Record<FieldOperator, AskedValue | undefined>>)
  | { all: FunnelCondition[] }
  | { any: FunnelCondition[] }
  | { not: FunnelCondition };

const value = z.union([z.string().max(1000), z.number(), z.boolean()], {
  error: 'use a text, a number, true or false',
});
const number = z.number({ error: 'use a number' });

const day = readBy((text) => {
  if (!isDate(text)) throw new Error('use a date such as 2026-01-31');
}, /^\d{4}-\d{2}-\d{2}$/);
const part = z.string({ error: 'use a text' }).min(1, 'must not be empty').max(1000);
const days = z
  .int({ error: 'use a whole number of days' })
  .min(1, 'use at least 1 day')
  .max(3650, 'use at most 3650 days');

const changes = {
  ...{ is: value.optional(), isNot: value.optional(), over: number.optional(), under: number.optional() },
  ...{ atLeast: number.optional(), atMost: number.optional(), before: day.optional(), after: day.optional() },
  ...{ contains: part.optional(), startsWith: part.optional() },
  oneOf: z.array(part).min(1, 'name at least one').max(50, 'name at most 50').optional(),
  exists: z.boolean({ error: 'use true or false' }).optional(),
};

const exactlyOne =
  (names: readonly FieldOperator[]) =>
  (given: Partial<Record<FieldOperator, unknown>>, context: z.RefinementCtx): void => {
    if (names.filter((name) => given[name] !== undefined).length === 1) return;
    context.addIssue({ code: 'custom', message: `needs exactly one of ${names.join(', ')}` });
  };

/** Asked when the step is come to. */
const field = strict({
  ...{ field: fieldName, ...changes },
  ...{ withinDays: days.optional(), inNextDays: days.optional() },
}).superRefine(exactlyOne(FIELD_OPERATORS));

/** What may come to hold by a change of the field: days pass without one. */
const fieldChange = strict({ field: fieldName, ...changes }).superRefine(exactlyOne(FIELD_CHANGES));

const stepWas = strict({
  step: key,
  was: z
    .string()
    .regex(
      /^(ran|skipped|then|else|reached|not reached|case ([1-9]|1\d|20))$/,
      'use ran, skipped, then, else, case 1 and so on, reached or not reached',
    ),
});

/** On which arm of a split test before it, or of another sequence, the person is. Nobody waits for it. */
const onArm = strict({ split: key, arm: key, sequence: key.optional() });

const memberState = z.enum(MEMBER_STATES, { error: `use ${MEMBER_STATES.join(', ')}` }).optional();
const member = { member: key, state: memberState };

/** Asked when the step is come to: nobody waits for it. */
const affiliate = strict({ affiliate: affiliateCode });

/** What is told while people wait may have come before they did. */
const event = {
  event: eventName,
  since: z.enum(['step', 'sequence'], { error: 'use step or sequence' }).optional(),
};

const alternatives = [
  strict({ clicked: key }),
  strict({ opened: key }),
  strict({ tag: tagName }),
  strict({ purchased: key }),
  strict({ refunded: key }),
  strict({ list: key }),
  strict(member),
  affiliate,
  strict(event),
  stepWas,
  onArm,
  field,
  strict({
    get all() {
      return z.array(condition).min(1, 'name at least one condition');
    },
  }),
  strict({
    get any() {
      return z.array(condition).min(1, 'name at least one condition');
    },
  }),
  strict({
    get not() {
      return condition;
    },
  }),
] as const;

export const condition: z.ZodType<FunnelCondition> = z.lazy(() =>
  z.union(alternatives),
) as z.ZodType<FunnelCondition>;

const within = { within: duration.optional() };

/** As `condition`, with how long to wait for it beside the first question: `{ clicked: story, within: 3 days }`. */
export const timedCondition = z.union([
  strict({ clicked: key, ...within }),
  strict({ opened: key, ...within }),
  strict({ tag: tagName, ...within }),
  strict({ purchased: key, ...within }),
  strict({ refunded: key, ...within }),
  strict({ list: key, ...within }),
  strict({ ...member, ...within }),
  affiliate,
  strict({ ...event, ...within }),
  stepWas,
  onArm,
  field.safeExtend(within),
  strict({ all: z.array(condition).min(1, 'name at least one condition'), ...within }),
  strict({ any: z.array(condition).min(1, 'name at least one condition'), ...within }),
  strict({ not: condition, ...within }),
]) as z.ZodType<FunnelCondition & { within?: string | undefined }>;

const happenings = [
  strict({ purchased: key }),
  strict({ refunded: key }),
  strict(member),
  strict({ tag: tagName }),
  strict({ untagged: tagName }),
  strict({ list: key }),
  strict({ unlisted: key }),
  strict({ event: eventName }),
  /** Comes by the link of this affiliate or of some, or becomes one. Nobody comes to have come by no link. */
  strict({
    affiliate: affiliateCode.refine(
      (code) => code !== 'none',
      'use any, self or the code of an affiliate, such as ada-blog',
    ),
  }),
] as const;

/** What may begin a sequence. `sequence`: whose mail it is; its own when it is left out. */
export const entryTrigger = z.union([
  ...happenings,
  strict({ clicked: key, sequence: key.optional() }),
  strict({ opened: key, sequence: key.optional() }),
  fieldChange,
]) as z.ZodType<FunnelEntryTrigger>;
type FunnelEntryTrigger = FunnelTrigger & { sequence?: string | undefined };

/** What may end a sequence or lead to a goal. */
export const trigger = z.union([
  ...happenings,
  strict({ clicked: key }),
  strict({ opened: key }),
  fieldChange,
]) as z.ZodType<FunnelTrigger>;
export type FunnelTrigger = Extract<
  FunnelCondition,
  | { purchased: string }
  | { refunded: string }
  | { member: string }
  | { affiliate: string }
  | { tag: string }
  | { untagged: string }
  | { list: string }
  | { unlisted: string }
  | { event: string }
  | { clicked: string }
  | { opened: string }
  | { field: string }
>;

/** `funnel`: as `entryTriggerOf`; a split test of it is one of the same sequence. */
export function conditionOf(given: FunnelCondition, funnel: string): Condition {
  const parts = (all: FunnelCondition[]): Condition[] => all.map((part) => conditionOf(part, funnel));
  if ('event' in given && given.since === 'step') return { kind: 'event', event: given.event, since: 'step' };
  if ('step' in given) return { kind: 'step', step: given.step, was: given.was };
  if ('split' in given) {
    const { split: step, arm, sequence = funnel } = given;
    return { kind: 'split', step, arm, ...(sequence === funnel ? {} : { sequence }) };
  }
  if ('all' in given) return { kind: 'all', of: parts(given.all) };
  if ('any' in given) return { kind: 'any', of: parts(given.any) };
  if ('not' in given) return { kind: 'not', of: conditionOf(given.not, funnel) };
  return triggerOf(given);
}

/** `funnel`: the key of the funnel, which is that of its sequence. */
export function entryTriggerOf(given: FunnelEntryTrigger, funnel: string): EntryTrigger {
  const trigger = triggerOf(given);
  return isMailTrigger(trigger) ? { ...trigger, sequence: given.sequence ?? funnel } : trigger;
}

export function triggerOf(given: FunnelTrigger): Trigger {
  if ('purchased' in given) return { kind: 'purchased', product: given.purchased };
  if ('refunded' in given) return { kind: 'refunded', product: given.refunded };
  if ('member' in given) return { kind: 'member', product: given.member, state: given.state ?? 'active' };
  if ('affiliate' in given) return { kind: 'affiliate', whose: given.affiliate };
  if ('tag' in given) return { kind: 'tag', tag: given.tag };
  if ('untagged' in given) return { kind: 'untagged', tag: given.untagged };
  if ('list' in given) return { kind: 'list', list: given.list };
  if ('unlisted' in given) return { kind: 'unlisted', list: given.unlisted };
  if ('event' in given) return { kind: 'event', event: given.event };
  if ('clicked' in given) return { kind: 'clicked', step: given.clicked };
  if ('opened' in given) return { kind: 'opened', step: given.opened };
  const op = FIELD_OPERATORS.find((name) => given[name] !== undefined) ?? 'exists';
  return { kind: 'field', field: given.field, op, value: askedOf(given.field, given[op] ?? true) };
}

/** Addresses are known by their lower case. */
function askedOf(field: string, value: AskedValue): AskedValue {
  if (!isAddress(field) || typeof value === 'boolean') return value;
  return typeof value === 'object' ? value.map((one) => one.toLowerCase()) : String(value).toLowerCase();
}

/** Every question of a condition with its place. */
export function questionsIn(
  given: FunnelCondition,
  path: readonly PropertyKey[],
): { question: FunnelCondition; path: readonly PropertyKey[] }[] {
  if ('all' in given) return given.all.flatMap((part, index) => questionsIn(part, [...path, 'all', index]));
  if ('any' in given) return given.any.flatMap((part, index) => questionsIn(part, [...path, 'any', index]));
  if ('not' in given) return questionsIn(given.not, [...path, 'not']);
  return [{ question: given, path }];
}
