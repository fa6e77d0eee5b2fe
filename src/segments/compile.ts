import { wasSoBy } from './as-of.js';
import type { SubscriberStatus } from '../subscribers/subscription-status.js';
import { type CompileOptions, type Context, contextOf } from './compile-context.js';
import { compileField } from './compile-field.js';
import { HELD_OUT, HOLDOUT } from './held-out.js';
import type {
  Condition,
  EventFilter,
  FieldCondition,
  Leaf,
  MailFilter,
  MemberIs,
  SplitFilter,
  TimeWindow,
} from './condition.js';
import { boundsOf } from './days.js';

export interface SqlCondition {
  /** Over `subscriber s`; made of fixed texts, whatever the conditions say. Never null. */
  text: string;
  parameters: unknown[];
}

/** A set of people by id: `select column from source where conditions`. */
export interface People {
  column: string;
  source: string;
  where: string[];
  /** How many rows of somebody it takes. */
  atLeast?: number;
}

/**
 * As `countsAsOpened` says, in the form that fits the indexes.
 */
const OPENED = `e.kind in ('open', 'click') and (e.kind = 'open' or e.class = 'human')`;
const CLICKED = `e.kind = 'click' and e.class = 'human'`;
/** Fits the partial indexes on the reader, which hold these two classes. */
const OF_A_READER = `e.class in ('human', 'unknown')`;

/**
 * A tree of conditions as SQL that asks about each subscriber by index: for batches of a few thousand; counts and pages
 * over everybody are compiled by `compileForEverybody`. Whatever was typed is a parameter; the text is made of what stands
 * in this file alone. Throws for a field that is not defined: `fieldProblemsOf` has refused it before.
 */
export function compileConditions(condition: Condition, options: CompileOptions): SqlCondition {
  const { context, parameters } = contextOf(options);
  return { text: compileNode(condition, context), parameters };
}

function compileNode(condition: Condition, context: Context): string {
  if ('all' in condition) return `(${condition.all.map((one) => compileNode(one, context)).join(' and ')})`;
  if ('any' in condition) return `(${condition.any.map((one) => compileNode(one, context)).join(' or ')})`;
  if ('not' in condition) return `not ${compileNode(condition.not, context)}`;
  if (!isOfPeople(condition)) return compilePlain(condition, context);
  const { column, source, where, atLeast = 1 } = peopleOf(condition, context);
  const conditions = [...where, ...wasSoBy(condition, context)];
  // Also keeps PostgreSQL from counting everybody's rows for a few thousand people.
  const behind = atLeast === 1 ? '' : ` offset ${context.parameter(String(atLeast - 1), 'bigint')}`;
  return `exists (select 1 from ${source} where ${column} = s.id and ${conditions.join(' and ')}${behind})`;
}

type PlainLeaf =
  { status: SubscriberStatus[] } | FieldCondition | { signedUp: TimeWindow } | { confirmed: TimeWindow };
type PeopleLeaf = Exclude<Leaf, PlainLeaf>;

/** What the subscriber's own row tells. Throws for a leaf that it does not. */
export function compilePlain(leaf: Leaf, context: Context): string {
  if ('status' in leaf) return `s.status = any (${context.parameter(leaf.status, 'text[]')})`;
  if ('field' in leaf) return compileField(leaf, context);
  if ('signedUp' in leaf) return within('s.created_at', leaf.signedUp, context);
  if ('confirmed' in leaf)
    return `(s.confirmed_at is not null and ${within('s.confirmed_at', leaf.confirmed, context)})`;
  throw new Error('a condition that a set of people answers');
}

/** Whether a set of people answers it, and not the subscriber's own row. */
export function isOfPeople(leaf: Leaf): leaf is PeopleLeaf {
  return !('status' in leaf || 'field' in leaf || 'signedUp' in leaf || 'confirmed' in leaf);
}

export function peopleOf(leaf: PeopleLeaf, context: Context): People {
  const { parameter } = context;
  if ('tag' in leaf)
    return {
      column: 'st.subscriber_id',
      source: 'subscriber_tag st',
      where: [`st.tag_id = (select t.id from tag t where t.name = ${parameter(leaf.tag, 'text')})`],
    };
  if ('list' in leaf)
    return {
      column: 'lm.subscriber_id',
      source: 'list_member lm',
      where: [`lm.list_id = (select l.id from list l where l.key = ${parameter(leaf.list, 'text')})`],
    };
  if ('purchased' in leaf) return buyers(leaf.purchased, context);
  if ('event' in leaf) return tellers(leaf.event, context);
  if ('member' in leaf) return members(leaf.member, context);
  if ('affiliate' in leaf) return sentBy(leaf.affiliate, context);
  if ('split' in leaf) return drawn(leaf.split, context);
  if ('sequence' in leaf) return enrolled(leaf.sequence, context);
  if ('funnel' in leaf)
    return {
      column: 'n.subscriber_id',
      source: 'enrollment n join sequence q on q.id = n.sequence_id',
      where: [`q.funnel_key = ${parameter(leaf.funnel, 'text')}`],
    };
  if ('form' in leaf)
    return {
      column: 'u.subscriber_id',
      source: 'signup u',
      where: [`u.form_id = (select f.id from form f where f.slug = ${parameter(leaf.form, 'text')})`],
    };
  if ('received' in leaf) return receivers(leaf.received, context);
  return 'opened' in leaf ? readers(OPENED, leaf.opened, context) : readers(CLICKED, leaf.clicked, context);
}

/** Served by tracking_event_reader and tracking_event_of_reader; with a mail named, by the index of its kind. */
function readers(what: string, event: TimeWindow & MailFilter, context: Context): People {
  const mails = mailConditions(event, context);
  return {
    column: 'e.subscriber_id',
    source:
      mails.length === 0 ? 'tracking_event e' : 'tracking_event e join message m on m.id = e.message_id',
    where: [what, OF_A_READER, within('e.at', event, context), ...mails],
  };
}

/** Served by message_broadcast_mailbox and message_funnel, and by message_subscriber. */
function receivers(event: TimeWindow & MailFilter, context: Context): People {
  return {
    column: 'm.subscriber_id',
    source: 'message m',
    where: [
      `m.state in ('accepted', 'unknown') and m.accepted_at is not null`,
      within('m.accepted_at', event, context),
      ...mailConditions(event, context),
    ],
  };
}

function mailConditions({ broadcast, funnel, step }: MailFilter, { parameter }: Context): string[] {
  return [
    ...(broadcast === undefined ? [] : [`m.broadcast_id = ${parameter(broadcast, 'bigint')}`]),
    ...(funnel === undefined ? [] : [`m.funnel_key = ${parameter(funnel, 'text')}`]),
    ...(step === undefined ? [] : [`m.step_key = ${parameter(step, 'text')}`]),
  ];
}

/** A refunded order is no purchase, nor is a product of it that was taken back. */
function buyers(
  { product, ...window }: TimeWindow & { product?: string | undefined },
  context: Context,
): People {
  const time = [`o.status = 'paid'`, within('o.paid_at', window, context)];
  if (product === undefined) return { column: 'o.subscriber_id', source: 'orders o', where: time };
  return {
    column: 'o.subscriber_id',
    source: 'orders o join order_line ol on ol.order_id = o.id',
    // Not a join: from a key the planner cannot tell how many bought it, and took one in a hundred of them.
    where: [
      ...time,
      'ol.taken_back_at is null',
      `ol.product_id = (select p.id from product p where p.key = ${context.parameter(product, 'text')})`,
    ],
  };
}

/** Of whom an event was told. Served by subscriber_event_name, and by subscriber_event_subscriber. */
function tellers({ name, atLeast = 1, ...window }: TimeWindow & EventFilter, context: Context): People {
  return {
    column: 'v.subscriber_id',
    source: 'subscriber_event v',
    where: [`v.name = ${context.parameter(name, 'text')}`, within('v.at', window, context)],
    atLeast,
  };
}

/** Of whom the end has passed is no member, whether or not it is written down. Served by membership_product. */
function members(
  { product, is }: { product?: string | undefined; is: MemberIs },
  { now, parameter }: Context,
): People {
  const at = (): string => parameter(now.toISOString(), 'timestamptz');
  const state = {
    active: () => [`mb.state = 'active'`, `(mb.ends_at is null or mb.ends_at > ${at()})`],
    ended: () => [`(mb.state = 'ended' or (mb.state = 'active' and coalesce(mb.ends_at <= ${at()}, false)))`],
    refunded: () => [`mb.state = 'refunded'`],
    ever: () => [],
  }[is]();
  const of = product === undefined ? [] : [`mb.product_id = ${productIs(parameter(product, 'text'))}`];
  const where = [...of, ...state];
  return {
    column: 'mb.subscriber_id',
    source: 'membership mb',
    where: where.length === 0 ? ['true'] : where,
  };
}

/** All products that ever had the key: a later one may have taken it over. */
function productIs(key: string): string {
  return `any (array(select p.id from product p where p.key = ${key}))`;
}

/** Who came last by an affiliate's link, or are affiliates. Served by referral_affiliate and by keys. */
function sentBy(whose: string, { parameter }: Context): People {
  if (whose === 'self')
    return {
      column: 'sa.id',
      source: 'affiliate a join subscriber sa on sa.email_key = a.email_key',
      where: ['true'],
    };
  const where =
    whose === 'any'
      ? 'true'
      : `r.affiliate_id = (select a.id from affiliate a where a.code = ${parameter(whose, 'text')})`;
  return { column: 'r.subscriber_id', source: 'referral r', where: [where] };
}

/**
 * Whom a test drew for an arm: of a step that was edited, in its last form that drew them. Nobody is drawn for what all get
 * since it was decided. Served by the keys of `experiment_assignment`, and by message_broadcast_mailbox.
 */
function drawn({ broadcast, funnel, step, arm }: SplitFilter, { parameter }: Context): People {
  if (broadcast !== undefined) {
    const where = [
      `m.broadcast_id = ${parameter(broadcast, 'bigint')}`,
      arm === HOLDOUT
        ? `m.state = 'suppressed' and m.state_reason = '${HELD_OUT}'`
        : `chr(ascii('a') + m.arm) = ${parameter(arm, 'text')}`,
    ];
    return { column: 'm.subscriber_id', source: 'message m', where };
  }
  const forms = `any (array(select x.id from experiment x where x.test = ${parameter(`${funnel ?? ''}/${step ?? ''}`, 'text')}))`;
  const later = `exists (select 1 from experiment_assignment l
    where l.subscriber_id = xa.subscriber_id and l.experiment_id = ${forms} and l.experiment_id > xa.experiment_id)`;
  return {
    column: 'xa.subscriber_id',
    source: 'experiment_assignment xa',
    where: [`xa.experiment_id = ${forms}`, `xa.arm = ${parameter(arm, 'text')}`, `not ${later}`],
  };
}

function enrolled({ key, is }: { key: string; is: string }, { parameter }: Context): People {
  return {
    column: 'n.subscriber_id',
    source: 'enrollment n',
    where: [
      `n.sequence_id = (select q.id from sequence q where q.key = ${parameter(key, 'text')})`,
      ...(is === 'ever' ? [] : [`n.status = ${parameter(is, 'text')}`]),
    ],
  };
}

function within(column: string, window: TimeWindow, context: Context): string {
  const { parameter } = context;
  const { from, until } = boundsOf(window, context);
  const parts = [
    ...(from === undefined ? [] : [`${column} >= ${parameter(from, 'timestamptz')}`]),
    ...(until === undefined ? [] : [`${column} < ${parameter(until, 'timestamptz')}`]),
  ];
  return parts.length === 0 ? 'true' : `(${parts.join(' and ')})`;
}
