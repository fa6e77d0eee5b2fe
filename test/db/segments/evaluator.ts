import type { Condition, FieldCondition, MailFilter, TimeWindow } from '../../../src/segments/condition.js';
import { DEFINITIONS, type MailFact, NOW, type Person, TESTS } from './people.js';

const DAY_MS = 86_400_000;
const ARM_LETTERS = ['a', 'b'];
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** What a condition means, said plainly and without a database; the SQL must agree. `email` is as it is stored. */
export function meets(person: Person & { email: string }, condition: Condition): boolean {
  if ('all' in condition) return condition.all.every((one) => meets(person, one));
  if ('any' in condition) return condition.any.some((one) => meets(person, one));
  if ('not' in condition) return !meets(person, condition.not);
  if ('status' in condition) return condition.status.includes(person.status);
  if ('tag' in condition) return person.tags.includes(condition.tag);
  if ('list' in condition) return person.lists.includes(condition.list);
  if ('field' in condition) return meetsField(person, condition);
  if ('signedUp' in condition) return within(person.createdAt, condition.signedUp);
  if ('confirmed' in condition)
    return person.confirmedAt !== null && within(person.confirmedAt, condition.confirmed);
  if ('funnel' in condition) return person.enrollments.some(({ funnel }) => funnel === condition.funnel);
  if ('form' in condition) return person.forms.includes(condition.form);
  if ('sequence' in condition) {
    const { key, is } = condition.sequence;
    return person.enrollments.some(
      ({ funnel, status }) => funnel === key && (is === 'ever' || status === is),
    );
  }
  if ('purchased' in condition) {
    const { product, ...window } = condition.purchased;
    return person.orders.some(
      ({ status, paidAt, products }) =>
        status === 'paid' &&
        paidAt !== null &&
        within(paidAt, window) &&
        (product === undefined || products.includes(product)),
    );
  }
  if ('member' in condition) {
    const { product, is } = condition.member;
    return person.memberships.some(
      (one) =>
        (product === undefined || product === one.product) &&
        (is === 'ever' ||
          is === (one.state === 'active' && one.endsAt !== null && one.endsAt <= NOW ? 'ended' : one.state)),
    );
  }
  if ('affiliate' in condition)
    return condition.affiliate === 'self'
      ? person.isAffiliate
      : person.affiliate !== null && ['any', person.affiliate].includes(condition.affiliate);
  if ('split' in condition) {
    const { broadcast, funnel, step, arm } = condition.split;
    if (broadcast !== undefined)
      return person.mails.some((mail) => mail.arm === ARM_LETTERS.indexOf(arm) && isOf(mail, { broadcast }));
    if (person.enrollments.length === 0) return false;
    const drawn = person.arms.filter(({ test }) => TESTS[test] === `${funnel}/${step}`);
    return drawn.toSorted((one, other) => other.test - one.test)[0]?.arm === arm;
  }
  if ('received' in condition)
    return person.mails.some(
      (mail) =>
        ['accepted', 'unknown'].includes(mail.state) &&
        within(mail.at, condition.received) &&
        isOf(mail, condition.received),
    );
  const [kind, asked, classes] =
    'opened' in condition
      ? (['open', condition.opened, ['human', 'unknown']] as const)
      : (['click', condition.clicked, ['human']] as const);
  return person.mails.some(
    (mail) =>
      isOf(mail, asked) &&
      mail.hits.some(
        (hit) => hit.kind === kind && classes.some((one) => one === hit.class) && within(hit.at, asked),
      ),
  );
}

function isOf(mail: MailFact, { broadcast, funnel, step }: MailFilter): boolean {
  return (
    (broadcast === undefined || String((mail.broadcast ?? -1) + 1) === broadcast) &&
    (funnel === undefined || mail.funnel === funnel) &&
    (step === undefined || mail.step === step)
  );
}

function within(at: Date, { withinDays, since, until }: TimeWindow): boolean {
  return (
    (withinDays === undefined || at.getTime() >= NOW.getTime() - withinDays * DAY_MS) &&
    (since === undefined || at >= new Date(since)) &&
    (until === undefined || at < new Date(until))
  );
}

const COLUMNS: Record<string, (person: Person) => string | null> = {
  email: ({ email }) => email,
  emailDomain: ({ email }) => email.split('@')[1] ?? '',
  name: ({ name }) => name,
  timeZone: ({ timeZone }) => timeZone,
  locale: ({ locale }) => locale,
};

function meetsField(person: Person, condition: FieldCondition): boolean {
  const value = valueOf(person, condition.field);
  if (value === null) return false;
  const offset = (days: number): string => new Date(NOW.getTime() + days * DAY_MS).toISOString().slice(0, 10);
  const lower = (text: unknown): string => String(text).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const [text, number] = [String(value), Number(value)];
  switch (condition.op) {
    case 'isSet':
      return true;
    case 'is':
      return value === condition.value;
    case 'isNot':
      return value !== condition.value;
    case 'oneOf':
      return condition.value.some((one) => one === value);
    case 'contains':
      return lower(text).includes(lower(condition.value));
    case 'startsWith':
      return lower(text).startsWith(lower(condition.value));
    case 'atLeast':
      return number >= condition.value;
    case 'atMost':
      return number <= condition.value;
    case 'above':
      return number > condition.value;
    case 'below':
      return number < condition.value;
    case 'before':
      return text < condition.value;
    case 'after':
      return text > condition.value;
    case 'withinDays':
      return text >= offset(-condition.value) && text <= offset(0);
    case 'inNextDays':
      return text > offset(0) && text <= offset(condition.value);
  }
}

/** Null for an empty field, and for a value that is not of the field's type. */
function valueOf(person: Person, field: string): string | number | boolean | null {
  const column = COLUMNS[field];
  if (column) return column(person);
  const value = person.fields[field];
  const type = DEFINITIONS.get(field)?.type;
  if (type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  if (typeof value !== 'string') return null;
  return type === 'date' && !DATE.test(value) ? null : value;
}
