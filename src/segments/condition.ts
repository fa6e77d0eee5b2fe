import { z } from 'zod';
import { EVENT_NAME, EVENT_NAME_RULE } from '../subscribers/event-name.js';
import { SUBSCRIBER_STATUSES, type SubscriberStatus } from '../subscribers/subscription-status.js';

/** Enough for any question a person asks, and little enough that no request can keep the database busy with one. */
export const MAX_DEPTH = 8;
export const MAX_NODES = 100;
const MAX_DAYS = 3_650;
const MAX_VALUES = 50;
const MAX_TIMES = 1_000;

/**
 * From `since` or the day `withinDays` days before today on, and before `until`; nothing given is any time. A day without
 * a time is its beginning on the owner's clock.
 */
export interface TimeWindow {
  withinDays?: number | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

/** A mail of a broadcast, or of a funnel's sequence; a step is one mail of it. */
export interface MailFilter {
  broadcast?: string | undefined;
  funnel?: string | undefined;
  step?: string | undefined;
}

/** What the owner's programs have told of somebody, and how many times at least it happened; once when it is left out. */
export interface EventFilter {
  name: string;
  atLeast?: number | undefined;
}

/** An arm of the split test of a broadcast, where it is a letter from `a` on, or of a step of a funnel. */
export interface SplitFilter {
  broadcast?: string | undefined;
  funnel?: string | undefined;
  step?: string | undefined;
  arm: string;
}

export type FieldOperator =
  | { op: 'is' | 'isNot'; value: string | number | boolean }
  | { op: 'oneOf'; value: string[] }
  | { op: 'contains' | 'startsWith'; value: string }
  | { op: 'atLeast' | 'atMost' | 'above' | 'below'; value: number }
  | { op: 'before' | 'after'; value: string }
  | { op: 'withinDays' | 'inNextDays'; value: number }
  | { op: 'isSet' };

export type FieldCondition = { field: string } & FieldOperator;

export type Leaf =
  | { status: SubscriberStatus[] }
  | { tag: string }
  | { list: string }
  | FieldCondition
  | { signedUp: TimeWindow }
  | { confirmed: TimeWindow }
  | { opened: TimeWindow & MailFilter }
  | { clicked: TimeWindow & MailFilter }
  | { received: TimeWindow & MailFilter }
  | { purchased: TimeWindow & { product?: string | undefined } }
  | { member: { product?: string | undefined; is: MemberIs } }
  | { event: TimeWindow & EventFilter }
  | { affiliate: string }
  | { split: SplitFilter }
  | { sequence: { key: string; is: 'active' | 'completed' | 'exited' | 'ever' } }
  | { funnel: string }
  | { form: string };

/** Of a membership; `ever`: there is or was one. */
const MEMBER_IS = ['active', 'ended', 'refunded', 'ever'] as const;
export type MemberIs = (typeof MEMBER_IS)[number];

/** Who belongs to a segment: a tree whose leaves each say one thing about a subscriber. */
export type Condition = { all: Condition[] } | { any: Condition[] } | { not: Condition } | Leaf;

export const CONDITION_KINDS = [
  ...['all', 'any', 'not', 'status', 'tag', 'list', 'field', 'signedUp', 'confirmed', 'opened', 'clicked'],
  ...['received', 'purchased', 'member', 'affiliate', 'split', 'sequence', 'funnel', 'form'],
  'event',
];

const key = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,59}$/, 'use a key: lower-case letters, digits and hyphens');
const affiliateKey = key.refine((code) => code !== 'none', 'ask not any for those who came by none');
const eventName = z.string().regex(EVENT_NAME, EVENT_NAME_RULE);
const times = z.number().int().min(1).max(MAX_TIMES);
const stepKey = z.string().regex(/^[\w-]{1,60}$/, 'use the key of a step');
const id = z.string().regex(/^[1-9]\d{0,17}$/, 'use the id as the API gave it');
const days = z.number().int().min(1).max(MAX_DAYS);
/** What PostgreSQL takes, too: it knows no year 0 and no zone that far from Greenwich. */
const instant = z.iso
  .datetime({ offset: true })
  .refine((text) => !/^0000|[+-](1[5-9]|2\d):\d\d$/.test(text), 'use a time such as 2026-01-31T09:00:00Z');
const moment = z.union([
  instant,
  // What PostgreSQL takes, wherever the day begins.
  z.iso.date().refine((day) => /^[1-9]/.test(day), 'use a year from 1000 on'),
]);
const text = z.string().max(1_000).refine(isPlain, 'must not hold NUL or half a character');
const someText = text.min(1);

const window = { withinDays: days.optional(), since: moment.optional(), until: moment.optional() };
const mail = { broadcast: id.optional(), funnel: key.optional(), step: stepKey.optional() };

const ONE_START = 'use withinDays or since, not both';
const STEP_OF_FUNNEL = 'a step needs the funnel it belongs to, and no broadcast';
const oneStart = (given: TimeWindow): boolean => given.withinDays === undefined || given.since === undefined;
const stepOfFunnel = (given: MailFilter): boolean =>
  given.step === undefined || (given.funnel !== undefined && given.broadcast === undefined);

const oneTest = ({ broadcast, funnel, step }: SplitFilter): boolean =>
  broadcast === undefined ? funnel !== undefined && step !== undefined : (funnel ?? step) === undefined;

const timeWindow = z.strictObject(window).refine(oneStart, ONE_START);
const mailEvent = z
  .strictObject({ ...window, ...mail })
  .refine(oneStart, ONE_START)
  .refine(stepOfFunnel, STEP_OF_FUNNEL);

const fieldName = z.string().regex(/^[a-z][a-zA-Z0-9]{0,49}$/, 'use the key of a field');
const operators = [
  z.strictObject({
    field: fieldName,
    op: z.enum(['is', 'isNot']),
    value: z.union([text, z.number(), z.boolean()]),
  }),
  z.strictObject({ field: fieldName, op: z.literal('oneOf'), value: z.array(text).min(1).max(MAX_VALUES) }),
  z.strictObject({ field: fieldName, op: z.enum(['contains', 'startsWith']), value: someText }),
  z.strictObject({
    field: fieldName,
    op: z.enum(['atLeast', 'atMost', 'above', 'below']),
    value: z.number(),
  }),
  z.strictObject({ field: fieldName, op: z.enum(['before', 'after']), value: z.iso.date() }),
  z.strictObject({ field: fieldName, op: z.enum(['withinDays', 'inNextDays']), value: days }),
  z.strictObject({ field: fieldName, op: z.literal('isSet') }),
] as const;

/** By what a leaf says what it asks: to say what is wrong with one, where a union would name whichever it took for meant. */
export const leafSchemas = {
  status: z.strictObject({
    status: z.array(z.enum(SUBSCRIBER_STATUSES)).min(1).max(SUBSCRIBER_STATUSES.length),
  }),
  tag: z.strictObject({ tag: someText.max(100) }),
  list: z.strictObject({ list: key }),
  field: z.discriminatedUnion('op', operators),
  signedUp: z.strictObject({ signedUp: timeWindow }),
  confirmed: z.strictObject({ confirmed: timeWindow }),
  opened: z.strictObject({ opened: mailEvent }),
  clicked: z.strictObject({ clicked: mailEvent }),
  received: z.strictObject({
    received: mailEvent.refine(
      ({ broadcast, funnel }) => broadcast !== undefined || funnel !== undefined,
      'say which broadcast or funnel the mail was of',
    ),
  }),
  purchased: z.strictObject({
    purchased: z.strictObject({ ...window, product: key.optional() }).refine(oneStart, ONE_START),
  }),
  event: z.strictObject({
    event: z
      .strictObject({ ...window, name: eventName, atLeast: times.optional() })
      .refine(oneStart, ONE_START),
  }),
  member: z.strictObject({
    member: z.strictObject({ product: key.optional(), is: z.enum(MEMBER_IS).default('active') }),
  }),
  affiliate: z.strictObject({ affiliate: affiliateKey }),
  split: z.strictObject({
    split: z
      .strictObject({
        broadcast: id.optional(),
        funnel: key.optional(),
        step: stepKey.optional(),
        arm: key,
      })
      .refine(oneTest, 'say which test: a broadcast, or a funnel and one of its steps'),
  }),
  sequence: z.strictObject({
    sequence: z.strictObject({
      key,
      is: z.enum(['active', 'completed', 'exited', 'ever']).default('ever'),
    }),
  }),
  funnel: z.strictObject({ funnel: key }),
  form: z.strictObject({ form: key }),
} as const;

const node: z.ZodType<Condition> = z
  .union([
    z.strictObject({ all: z.array(z.lazy(() => node)).min(1) }),
    z.strictObject({ any: z.array(z.lazy(() => node)).min(1) }),
    z.strictObject({ not: z.lazy(() => node) }),
    ...Object.values(leafSchemas),
  ])
  .meta({
    id: 'SegmentCondition',
    description:
      'One of: `all`, `any` or `not` over more conditions; `status`; `tag`; `list`; `field` with `op` and `value` (`isNot`: it holds something else; an empty field is none of it); ' +
      '`signedUp`, `confirmed` (at any time, `withinDays`: today and so many days before it, `since` and before `until`, which are instants or days; days are those of TIME_ZONE); `opened` (machines and mail services open nothing, an opening that may be a person’s counts), `clicked` (by a person; who clicked has opened): as in sequences, `received`; `purchased`; `event` (what was told by POST /api/v1/events, by its `name`, `atLeast` so many times, by when it happened); `member` (of what a product grants); `affiliate` (a code, `any`, or `self`: an affiliate of the same address); `split` (the `arm` that the test of a `broadcast`, or of a `step` of a `funnel`, drew for them; `holdout`: none); `sequence`; `funnel`; `form`.',
  });

/** Refuses trees that are too deep or too large before anything walks them by recursion. */
export const conditionSchema = z.preprocess((given, context) => {
  const problem = problemOfShape(given);
  if (problem === null) return given;
  context.addIssue({ code: 'custom', message: problem.message, path: problem.path });
  return z.NEVER;
}, node);

interface ShapeProblem {
  path: (string | number)[];
  message: string;
}

/** What is wrong with the tree as such; the values in its leaves are the schema's. Walks without recursion. */
function problemOfShape(given: unknown): ShapeProblem | null {
  const open: { value: unknown; path: (string | number)[] }[] = [{ value: given, path: [] }];
  let nodes = 0;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value, path } = at;
    nodes += 1;
    if (nodes > MAX_NODES) return { path: [], message: `use at most ${MAX_NODES} conditions` };
    // Each level of the tree is one or two steps of the path.
    if (path.filter((part) => typeof part === 'string').length >= MAX_DEPTH)
      return { path, message: `conditions may stand ${MAX_DEPTH} levels deep` };
    const kinds = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    const kind = kinds.find((name) => CONDITION_KINDS.includes(name));
    if (kind === undefined) return { path, message: `say one of ${CONDITION_KINDS.join(', ')}` };
    const inner: unknown = Reflect.get(Object(value), kind);
    if (kind === 'not') open.push({ value: inner, path: [...path, kind] });
    else if ((kind === 'all' || kind === 'any') && Array.isArray(inner))
      open.push(
        ...inner
          .slice(0, MAX_NODES + 1)
          .map((value: unknown, index) => ({ value, path: [...path, kind, index] }))
          .toReversed(),
      );
  }
  return null;
}

/** Every leaf with its place in the tree, such as `all.0.not`. */
export function leavesOf(condition: Condition, path = ''): { leaf: Leaf; path: string }[] {
  const below = path === '' ? '' : `${path}.`;
  if ('not' in condition) return leavesOf(condition.not, `${below}not`);
  if ('all' in condition) return condition.all.flatMap((one, index) => leavesOf(one, `${below}all.${index}`));
  if ('any' in condition) return condition.any.flatMap((one, index) => leavesOf(one, `${below}any.${index}`));
  return [{ leaf: condition, path }];
}

/** What a leaf refers to, as kind and key. */
export function namedIn(leaf: Leaf): [kind: string, key: string][] {
  if ('list' in leaf) return [['list', leaf.list]];
  if ('funnel' in leaf) return [['funnel', leaf.funnel]];
  if ('form' in leaf) return [['form', leaf.form]];
  if ('sequence' in leaf) return [['sequence', leaf.sequence.key]];
  if ('split' in leaf) return namedBySplit(leaf.split);
  if ('affiliate' in leaf) return [['affiliate', leaf.affiliate]];
  if ('member' in leaf) return leaf.member.product === undefined ? [] : [['product', leaf.member.product]];
  if ('purchased' in leaf)
    return leaf.purchased.product === undefined ? [] : [['product', leaf.purchased.product]];
  const mail =
    'opened' in leaf
      ? leaf.opened
      : 'clicked' in leaf
        ? leaf.clicked
        : 'received' in leaf
          ? leaf.received
          : {};
  return [
    ...(mail.broadcast === undefined ? [] : [['broadcast', mail.broadcast] satisfies [string, string]]),
    ...(mail.funnel === undefined ? [] : [['funnel', mail.funnel] satisfies [string, string]]),
  ];
}

/** Of a test that is not there, nothing is said of its arm: one problem is enough. */
function namedBySplit({ broadcast, funnel, step, arm }: SplitFilter): [kind: string, key: string][] {
  if (broadcast !== undefined)
    return [
      ['broadcast', broadcast],
      ['arm', `${arm} of broadcast ${broadcast}`],
    ];
  const test = `${funnel ?? ''}/${step ?? ''}`;
  return [
    ['split test', test],
    ['arm', `${arm} of ${test}`],
  ];
}

function isPlain(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed();
}
