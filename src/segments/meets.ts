import { domainOf } from '../values/email-address.js';
import type { FieldType } from '../subscribers/field.js';
import { isAddress, lowered } from './compile-field.js';
import { HOLDOUT } from './held-out.js';
import type { Condition, FieldCondition, MailFilter, SplitFilter, TimeWindow } from './condition.js';
import { boundsOf, type OwnerClock } from './days.js';
import { passes } from './field-test.js';

/** Arms of broadcasts are letters from `a` on. */
const CODE_OF_A = 97;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** A mail of somebody, and what was done with it. */
export interface MailFacts {
  at: Date;
  /** As conditions name it. */
  broadcast: string | null;
  /** What it is about: the funnel, or the topic of a broadcast. */
  funnel: string | null;
  step: string | null;
  /** Its place among the arms of a broadcast's split test. */
  arm: number | null;
  /** They are held out of that test, and the mail is never sent. */
  isHeldOut?: boolean;
  state: string;
  hits: readonly { kind: string; class: string; at: Date }[];
}

/** Everything about somebody that a condition can ask. */
export interface PersonFacts {
  status: string;
  createdAt: Date;
  confirmedAt: Date | null;
  /** As it is stored, in lower case. */
  email: string;
  name: string | null;
  timeZone: string | null;
  locale: string | null;
  fields: Readonly<Record<string, unknown>>;
  tags: readonly string[];
  lists: readonly string[];
  mails: readonly MailFacts[];
  orders: readonly { status: string; paidAt: Date | null; products: readonly string[] }[];
  memberships: readonly { product: string; state: string; endsAt: Date | null }[];
  /** What was told of them. */
  events: readonly { name: string; at: Date }[];
  /** The code of whose link they came by. */
  affiliate: string | null;
  isAffiliate: boolean;
  enrollments: readonly { sequence: string; funnel: string; status: string }[];
  /** Of split tests of steps, `funnel/step`: the arm that was drawn; of a step that was edited the last form counts. */
  arms: readonly { test: string; arm: string }[];
  /** Slugs of those by which they signed up. */
  forms: readonly string[];
}

/** With what "in the last 30 days" counts from. */
export interface Reading extends OwnerClock {
  /** Of the own field that is asked about. */
  typeOf(this: void, condition: FieldCondition): FieldType | undefined;
}

/**
 * Whether somebody belongs to a segment, read without a database from what is known of them. Means the same as the SQL of
 * `compileConditions`, which a property test compares with it.
 */
export function meets(person: PersonFacts, condition: Condition, reading: Reading): boolean {
  if ('all' in condition) return condition.all.every((one) => meets(person, one, reading));
  if ('any' in condition) return condition.any.some((one) => meets(person, one, reading));
  if ('not' in condition) return !meets(person, condition.not, reading);
  if ('status' in condition) return condition.status.some((one) => one === person.status);
  if ('tag' in condition) return person.tags.includes(condition.tag);
  if ('list' in condition) return person.lists.includes(condition.list);
  if ('field' in condition) return meetsField(person, condition, reading);
  if ('signedUp' in condition) return within(person.createdAt, condition.signedUp, reading);
  if ('confirmed' in condition)
    return person.confirmedAt !== null && within(person.confirmedAt, condition.confirmed, reading);
  if ('funnel' in condition) return person.enrollments.some(({ funnel }) => funnel === condition.funnel);
  if ('form' in condition) return person.forms.includes(condition.form);
  if ('sequence' in condition) {
    const { key, is } = condition.sequence;
    return person.enrollments.some(
      ({ sequence, status }) => sequence === key && (is === 'ever' || status === is),
    );
  }
  if ('split' in condition) return wasDrawn(person, condition.split);
  if ('affiliate' in condition)
    return condition.affiliate === 'self'
      ? person.isAffiliate
      : person.affiliate !== null && ['any', person.affiliate].includes(condition.affiliate);
  if ('purchased' in condition) return hasBought(person, condition.purchased, reading);
  if ('event' in condition) {
    const { name, atLeast = 1, ...window } = condition.event;
    return (
      person.events.filter((one) => one.name === name && within(one.at, window, reading)).length >= atLeast
    );
  }
  if ('member' in condition) return isMember(person, condition.member, reading);
  return meetsMail(person, condition, reading);
}

function wasDrawn({ mails, arms }: PersonFacts, { broadcast, funnel, step, arm }: SplitFilter): boolean {
  if (broadcast === undefined)
    return arms.findLast(({ test }) => test === `${funnel ?? ''}/${step ?? ''}`)?.arm === arm;
  const own = mails.filter((mail) => mail.broadcast === broadcast);
  if (arm === HOLDOUT) return own.some(({ isHeldOut }) => isHeldOut);
  return own.some(({ arm: place }) => place !== null && String.fromCharCode(CODE_OF_A + place) === arm);
}

/** A refunded order is no purchase. */
function hasBought(
  { orders }: PersonFacts,
  { product, ...window }: TimeWindow & { product?: string | undefined },
  reading: Reading,
): boolean {
  return orders.some(
    ({ status, paidAt, products }) =>
      status === 'paid' &&
      paidAt !== null &&
      within(paidAt, window, reading) &&
      (product === undefined || products.includes(product)),
  );
}

/** Of whom the end has passed is no member, whether or not it is written down. */
function isMember(
  { memberships }: PersonFacts,
  { product, is }: { product?: string | undefined; is: string },
  { now }: Reading,
): boolean {
  return memberships.some((one) => {
    const isOver = one.state === 'active' && one.endsAt !== null && one.endsAt <= now;
    return (
      (product === undefined || product === one.product) &&
      (is === 'ever' || is === (isOver ? 'ended' : one.state))
    );
  });
}

function meetsMail(
  { mails }: PersonFacts,
  condition: Extract<Condition, { received: unknown } | { opened: unknown } | { clicked: unknown }>,
  reading: Reading,
): boolean {
  if ('received' in condition)
    return mails.some(
      (mail) =>
        ['accepted', 'unknown'].includes(mail.state) &&
        within(mail.at, condition.received, reading) &&
        isOf(mail, condition.received),
    );
  // Machines that fetch pictures and follow links are nobody; whoever clicked has opened.
  const asked = 'opened' in condition ? condition.opened : condition.clicked;
  const counts = ({ kind, class: by }: MailFacts['hits'][number]): boolean =>
    by === 'human'
      ? kind === 'click' || (kind === 'open' && 'opened' in condition)
      : by === 'unknown' && kind === 'open' && 'opened' in condition;
  return mails.some(
    (mail) => isOf(mail, asked) && mail.hits.some((hit) => counts(hit) && within(hit.at, asked, reading)),
  );
}

function isOf(mail: MailFacts, { broadcast, funnel, step }: MailFilter): boolean {
  return (
    (broadcast === undefined || mail.broadcast === broadcast) &&
    (funnel === undefined || mail.funnel === funnel) &&
    (step === undefined || mail.step === step)
  );
}

function within(at: Date, window: TimeWindow, reading: Reading): boolean {
  const { from, until } = boundsOf(window, reading);
  return (from === undefined || at >= new Date(from)) && (until === undefined || at < new Date(until));
}

function meetsField(person: PersonFacts, asked: FieldCondition, reading: Reading): boolean {
  const condition = isAddress(asked.field) ? lowered(asked) : asked;
  const value = valueOf(person, condition, reading);
  if (value === null) return false;
  switch (condition.op) {
    case 'isSet':
      return true;
    case 'is':
      return value === condition.value;
    case 'isNot':
      return value !== condition.value;
    case 'oneOf':
    case 'contains':
    case 'startsWith':
    case 'atLeast':
    case 'atMost':
    case 'above':
    case 'below':
    case 'before':
    case 'after':
    case 'withinDays':
    case 'inNextDays':
      return passes(value, condition, reading);
  }
}

const COLUMNS: Readonly<Record<string, (person: PersonFacts) => string | null>> = {
  email: ({ email }) => email,
  emailDomain: ({ email }) => domainOf(email),
  name: ({ name }) => name,
  timeZone: ({ timeZone }) => timeZone,
  locale: ({ locale }) => locale,
};

/** Null for an empty field, and for a value that is not of the field's type. */
function valueOf(
  person: PersonFacts,
  condition: FieldCondition,
  { typeOf }: Reading,
): string | number | boolean | null {
  const column = COLUMNS[condition.field];
  if (column) return column(person);
  const value = person.fields[condition.field];
  const type = typeOf(condition);
  if (type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  if (typeof value !== 'string') return null;
  return type === 'date' && !DATE.test(value) ? null : value;
}
