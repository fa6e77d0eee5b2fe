import type { OwnerClock } from '../../segments/days.js';
import { passes, type FieldTest } from '../../segments/field-test.js';
import { HOLDOUT } from '../../segments/held-out.js';
import { BOUGHT } from '../../subscribers/tag.js';

/** What a branch or a goal asks about a person. */
export type Condition =
  | Leaf
  | { readonly kind: 'all'; readonly of: readonly Condition[] }
  | { readonly kind: 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition };

/** A question that the database answers. */
export type Leaf =
  /** The mail of this step of the same enrollment, as `countsAsOpened` says; clicked by a person. Whoever clicked has opened. */
  | { readonly kind: 'clicked' | 'opened'; readonly step: string }
  | { readonly kind: 'tag'; readonly tag: string }
  /** Only as a trigger: when the tag is taken off. */
  | { readonly kind: 'untagged'; readonly tag: string }
  /** Is on the list; as a trigger, when they come to be on it. */
  | { readonly kind: 'list'; readonly list: string }
  /** Only as a trigger: when they are taken off the list. */
  | { readonly kind: 'unlisted'; readonly list: string }
  | { readonly kind: 'purchased'; readonly product: string }
  /** They bought the product and gave it back, and have none left; as a trigger, when the money goes back. */
  | { readonly kind: 'refunded'; readonly product: string }
  /** By the product; as a trigger, when it comes to be so. */
  | { readonly kind: 'member'; readonly product: string; readonly state: MemberState }
  /**
   * By whose link the person came last, or whether they are an affiliate: a code, or one of `AFFILIATE_WORDS`. As a
   * trigger, when it comes to be so.
   */
  | { readonly kind: 'affiliate'; readonly whose: string }
  /** Told by the API since the person joined the sequence, or since a time that is later. */
  | { readonly kind: 'event'; readonly event: string; readonly since?: EventsSince }
  | { readonly kind: 'step'; readonly step: string; readonly was: StepOutcome }
  /**
   * The arm that the split test at a step before gave the person in the same enrollment; `HOLDOUT`: none. With a
   * `sequence`, in that other one, when they last came to the step there.
   */
  | { readonly kind: 'split'; readonly step: string; readonly arm: string; readonly sequence?: string }
  | {
      readonly kind: 'field';
      readonly field: string;
      readonly op: FieldOperator;
      readonly value: AskedValue;
    };

/** The tag by which an order says what was bought. */
export function boughtTag(product: string): string {
  return `${BOUGHT}${product}`;
}

/**
 * `step`: since the person came to the step that asks. `turn`: the same of a step that they come to in the turn of one
 * before it; no version has it.
 */
export type EventsSince = 'step' | 'turn';
export const MEMBER_STATES = ['active', 'ended', 'refunded'] as const;
export type MemberState = (typeof MEMBER_STATES)[number];
/** Came by the link of any, came by that of none, is one themselves. No affiliate has such a code. */
export const AFFILIATE_WORDS = ['any', 'none', 'self'] as const;
/** What can be asked of a step: of an if `then` and `else`, of a switch its cases, of a goal whether it was reached. */
export type StepOutcome = 'ran' | 'skipped' | 'then' | 'else' | 'reached' | 'not reached' | `case ${number}`;
/** What may come to hold when the field changes. */
export const FIELD_CHANGES = [
  ...(['is', 'isNot', 'oneOf', 'over', 'under', 'atLeast', 'atMost', 'before', 'after'] as const),
  ...(['contains', 'startsWith', 'exists'] as const),
] as const;
/** What comes to hold as days pass, which nobody tells: asked when a step is come to. */
export const FIELD_DAYS = ['withinDays', 'inNextDays'] as const;
export const FIELD_OPERATORS = [...FIELD_CHANGES, ...FIELD_DAYS] as const;
export type FieldOperator = (typeof FIELD_OPERATORS)[number];
export type FieldValue = string | number | boolean;
/** `oneOf` names several. */
export type AskedValue = FieldValue | readonly string[];

/** Something that happens to a person and may end a sequence or take them to a goal. */
export type Trigger = Extract<
  Leaf,
  {
    kind:
      | ('tag' | 'untagged' | 'list' | 'unlisted' | 'purchased' | 'refunded' | 'member' | 'affiliate')
      | ('event' | 'clicked' | 'opened' | 'field');
  }
>;
/** What may begin a sequence: an open or click says in which sequence its mail stands, as the person is in none yet. */
export type EntryTrigger = Exclude<Trigger, MailTrigger> | (MailTrigger & { readonly sequence: string });
export type FieldTrigger = Extract<Trigger, { kind: 'field' }>;
export type MailTrigger = Extract<Trigger, { kind: 'clicked' | 'opened' }>;

export function isMailTrigger(trigger: Trigger): trigger is MailTrigger {
  return trigger.kind === 'clicked' || trigger.kind === 'opened';
}

/** Names a leaf among others; equal questions have equal names. */
export function leafKey(leaf: Leaf): string {
  switch (leaf.kind) {
    case 'clicked':
    case 'opened':
      return `${leaf.kind} ${leaf.step}`;
    case 'tag':
      return `tag ${leaf.tag}`;
    case 'untagged':
      return `untagged ${leaf.tag}`;
    case 'list':
    case 'unlisted':
      return `${leaf.kind} ${leaf.list}`;
    case 'purchased':
    case 'refunded':
      return `${leaf.kind} ${leaf.product}`;
    case 'member':
      return `member ${leaf.product} ${leaf.state}`;
    case 'affiliate':
      return `affiliate ${leaf.whose}`;
    case 'event':
      return leaf.since === undefined ? `event ${leaf.event}` : `event ${leaf.event} since ${leaf.since}`;
    case 'step':
      return `step ${leaf.step} ${leaf.was}`;
    case 'split':
      return `split ${testName(leaf)} ${leaf.arm}`;
    case 'field':
      return `field ${leaf.field} ${leaf.op} ${JSON.stringify(leaf.value)}`;
    default:
      return leaf satisfies never;
  }
}

/** Of the step with the test, alone where it is of the same sequence. */
export function testName({ step, sequence }: { step: string; sequence?: string }): string {
  return sequence === undefined ? step : `${sequence}/${step}`;
}

/** The questions of a condition, each once. */
export function leavesOf(condition: Condition): Leaf[] {
  const leaves = new Map<string, Leaf>();
  const visit = (part: Condition): void => {
    if (part.kind === 'all' || part.kind === 'any') part.of.forEach(visit);
    else if (part.kind === 'not') visit(part.of);
    else leaves.set(leafKey(part), part);
  };
  visit(condition);
  return [...leaves.values()];
}

export function holds(condition: Condition, answer: (leaf: Leaf) => boolean): boolean {
  if (condition.kind === 'all') return condition.of.every((part) => holds(part, answer));
  if (condition.kind === 'any') return condition.of.some((part) => holds(part, answer));
  return condition.kind === 'not' ? !holds(condition.of, answer) : answer(condition);
}

/**
 * Whether a subscriber's field answers; an empty field is equal to nothing. `clock`: that of the person, by which days are
 * counted; null where nothing counts days.
 */
export function fieldHolds(
  { op, value }: Extract<Leaf, { kind: 'field' }>,
  found: FieldValue | null | undefined,
  clock: OwnerClock | null,
): boolean {
  const isThere = found !== undefined && found !== null && found !== '';
  if (op === 'exists') return isThere === value;
  if (op === 'isNot') return !isThere || String(found) !== String(value);
  if (!isThere) return false;
  if (op === 'is') return String(found) === String(value);
  if ((op === 'withinDays' || op === 'inNextDays') && clock === null) return false;
  return passes(found, { op: SAME_TEST[op] ?? op, value } as FieldTest, clock ?? NO_CLOCK);
}

/** Named here as people say it of a number. */
const SAME_TEST: Readonly<Partial<Record<FieldOperator, FieldTest['op']>>> = {
  over: 'above',
  under: 'below',
};
const NO_CLOCK: OwnerClock = { now: new Date(0), zone: 'UTC' };

/** Whether a step, of which `outcome` is written down, was what a condition asks. */
export function wasSo(outcome: string, was: StepOutcome): boolean {
  const isPassedOver = /^(expired|no date|already owns) /.test(outcome) || outcome === HOLDOUT;
  if (was === 'ran' || was === 'skipped') return isPassedOver === (was === 'skipped');
  return outcome === was;
}

/** The steps whose mails a condition watches for opens and clicks. */
export function watchedSteps(conditions: readonly Condition[]): string[] {
  const steps = conditions
    .flatMap(leavesOf)
    .flatMap((leaf) => (leaf.kind === 'clicked' || leaf.kind === 'opened' ? [leaf.step] : []));
  return [...new Set(steps)];
}

export function sameTrigger(one: Trigger, other: Trigger): boolean {
  return leafKey(one) === leafKey(other);
}

/** In words, for people: `the mail “story” is clicked`. */
export function conditionText(condition: Condition): string {
  switch (condition.kind) {
    case 'all':
      return condition.of.map(conditionText).join(' and ');
    case 'any':
      return `(${condition.of.map(conditionText).join(' or ')})`;
    case 'not':
      return `not (${conditionText(condition.of)})`;
    case 'clicked':
    case 'opened':
      return `the mail “${condition.step}” is ${condition.kind}`;
    case 'tag':
      return `the tag “${condition.tag}” is there`;
    case 'untagged':
      return `the tag “${condition.tag}” is taken off`;
    case 'list':
      return `the person is on the list “${condition.list}”`;
    case 'unlisted':
      return `the person is taken off the list “${condition.list}”`;
    case 'purchased':
      return `“${condition.product}” is bought`;
    case 'refunded':
      return `“${condition.product}” is given back`;
    case 'member':
      return `the membership of “${condition.product}” is ${condition.state}`;
    case 'affiliate':
      return affiliateText(condition.whose);
    case 'event':
      return `the event “${condition.event}” comes${condition.since === undefined ? '' : ' while the person is at the step'}`;
    case 'step':
      return `the step “${condition.step}” was “${condition.was}”`;
    case 'split':
      return condition.arm === HOLDOUT
        ? `the person is held out of the split test “${testName(condition)}”`
        : `the person has arm “${condition.arm}” of the split test “${testName(condition)}”`;
    case 'field':
      return fieldText(condition.field, condition.op, condition.value);
    default:
      return condition satisfies never;
  }
}

function affiliateText(whose: string): string {
  if (whose === 'self') return 'the person is an affiliate';
  if (whose === 'none') return 'the person came by the link of no affiliate';
  return `the person came by the link of ${whose === 'any' ? 'an affiliate' : `the affiliate “${whose}”`}`;
}

function fieldText(field: string, op: FieldOperator, value: AskedValue): string {
  const name = `the field “${field}”`;
  if (op === 'exists') return `${name} is ${value === true ? 'filled' : 'empty'}`;
  if (op === 'withinDays') return `${name} is today or at most ${String(value)} days ago`;
  if (op === 'inNextDays') return `${name} is in the next ${String(value)} days`;
  return `${name} ${OPERATOR_TEXT[op]} ${JSON.stringify(value)}`;
}

const OPERATOR_TEXT = {
  ...{ is: 'is', isNot: 'is not', oneOf: 'is one of', over: 'is over', under: 'is under' },
  ...{ atLeast: 'is at least', atMost: 'is at most', before: 'is before', after: 'is after' },
  ...{ contains: 'contains', startsWith: 'starts with' },
} as const;
