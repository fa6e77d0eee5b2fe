import { HOLDOUT } from '../segments/held-out.js';

/** What a branch or a goal asks about a person. */
export type Condition =
  | Leaf
  | { readonly kind: 'all'; readonly of: readonly Condition[] }
  | { readonly kind: 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition };

/** A question that the database answers. */
export type Leaf =
  /** The mail of this step of the same enrollment, by a person: no scanner and no mail service counts. Whoever clicked has opened. */
  | { readonly kind: 'clicked' | 'opened'; readonly step: string }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'purchased'; readonly product: string }
  /** By the product; as a trigger, when it comes to be so. */
  | { readonly kind: 'member'; readonly product: string; readonly state: MemberState }
  /**
   * By whose link the person came last, or whether they are an affiliate: a code, or one of `AFFILIATE_WORDS`. As a
   * trigger, when it comes to be so.
   */
  | { readonly kind: 'affiliate'; readonly whose: string }
  /** Told by the API since the person joined the sequence. */
  | { readonly kind: 'event'; readonly event: string }
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
      readonly value: FieldValue;
    };

/** The tag by which an order says what was bought. */
export function boughtTag(product: string): string {
  return `bought:${product}`;
}

export const MEMBER_STATES = ['active', 'ended', 'refunded'] as const;
export type MemberState = (typeof MEMBER_STATES)[number];
/** Came by the link of any, came by that of none, is one themselves. No affiliate has such a code. */
export const AFFILIATE_WORDS = ['any', 'none', 'self'] as const;
export const STEP_OUTCOMES = ['ran', 'skipped', 'then', 'else'] as const;
export type StepOutcome = (typeof STEP_OUTCOMES)[number];
export const FIELD_OPERATORS = ['is', 'isNot', 'over', 'under', 'exists'] as const;
export type FieldOperator = (typeof FIELD_OPERATORS)[number];
export type FieldValue = string | number | boolean;

/** Something that happens to a person and may end a sequence or take them to a goal. */
export type Trigger = Extract<
  Leaf,
  { kind: 'tag' | 'purchased' | 'member' | 'affiliate' | 'event' | 'clicked' | 'opened' | 'field' }
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
    case 'purchased':
      return `purchased ${leaf.product}`;
    case 'member':
      return `member ${leaf.product} ${leaf.state}`;
    case 'affiliate':
      return `affiliate ${leaf.whose}`;
    case 'event':
      return `event ${leaf.event}`;
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

/** Whether a subscriber's field answers; an empty field is equal to nothing. */
export function fieldHolds(
  { op, value }: Extract<Leaf, { kind: 'field' }>,
  found: FieldValue | null | undefined,
): boolean {
  const present = found !== undefined && found !== null && found !== '';
  switch (op) {
    case 'exists':
      return present === value;
    case 'is':
      return present && String(found) === String(value);
    case 'isNot':
      return !present || String(found) !== String(value);
    case 'over':
      return present && Number(found) > Number(value);
    case 'under':
      return present && Number(found) < Number(value);
    default:
      return op satisfies never;
  }
}

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
    case 'purchased':
      return `“${condition.product}” is bought`;
    case 'member':
      return `the membership of “${condition.product}” is ${condition.state}`;
    case 'affiliate':
      return affiliateText(condition.whose);
    case 'event':
      return `the event “${condition.event}” comes`;
    case 'step':
      return `the step “${condition.step}” was “${condition.was}”`;
    case 'split':
      return condition.arm === HOLDOUT
        ? `the person is held out of the split test “${testName(condition)}”`
        : `the person has arm “${condition.arm}” of the split test “${testName(condition)}”`;
    case 'field':
      return condition.op === 'exists'
        ? `the field “${condition.field}” is ${condition.value === true ? 'filled' : 'empty'}`
        : `the field “${condition.field}” ${OPERATOR_TEXT[condition.op]} ${JSON.stringify(condition.value)}`;
    default:
      return condition satisfies never;
  }
}

function affiliateText(whose: string): string {
  if (whose === 'self') return 'the person is an affiliate';
  if (whose === 'none') return 'the person came by the link of no affiliate';
  return `the person came by the link of ${whose === 'any' ? 'an affiliate' : `the affiliate “${whose}”`}`;
}

const OPERATOR_TEXT = { is: 'is', isNot: 'is not', over: 'is over', under: 'is under' } as const;
