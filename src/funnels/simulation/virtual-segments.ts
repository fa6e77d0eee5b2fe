import { audienceCondition, type Audience, type ResendAudience } from '../../broadcasts/audience.js';
import type { Condition, FieldCondition } from '../../segments/condition.js';
import { meets, type MailFacts, type PersonFacts } from '../../segments/meets.js';
import type { FieldType } from '../../subscribers/field.js';
import type { VirtualMail, VirtualRecord } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import { productsKept } from './virtual-refunds.js';

/** What an audience is read by. */
interface AudienceReading {
  segments: Readonly<Record<string, Condition>>;
  now: Date;
  /** The owner's: days are counted by it. */
  zone: string;
  /** As conditions name a broadcast. */
  numberOf(this: void, broadcast: string): string;
  /** The slug of the form that people sign up with. */
  form: string;
}

/** Whether the person gets a broadcast that begins now. As `BroadcastsQueries.recipients`. */
export function isInAudience(run: VirtualRun, audience: Audience, reading: AudienceReading): boolean {
  const { record } = run;
  if (record.arrivedAt === null || record.status !== 'active') return false;
  if ('everybody' in audience) return true;
  if ('resendOf' in audience) return isUnreached(record, audience);
  const condition = audienceCondition(audience, reading.segments);
  if (condition === null) return false;
  return meets(factsOf(record, record.arrivedAt, reading), condition, {
    ...{ now: reading.now, zone: reading.zone },
    typeOf: (asked) => typeAsked(asked, record.fields[asked.field]),
  });
}

/** As `resendParts`: they got the first mail, did nothing with it that is seen, and have bought nothing since. */
function isUnreached({ mails, trackingConsent, orders }: VirtualRecord, audience: ResendAudience): boolean {
  const { resendOf, unless } = audience;
  const first = mails.find(
    ({ kind, step, state }) => kind === 'broadcast' && step === resendOf && state === 'sent',
  );
  const sentAt = first?.sentAt;
  if (first === undefined || sentAt === null || sentAt === undefined || !trackingConsent) return false;
  const acted = first.hits.some(({ kind }) => unless === 'opened' || kind === 'click');
  return !acted && !orders.some(({ paidAt }) => paidAt >= sentAt);
}

function factsOf(record: VirtualRecord, createdAt: Date, { numberOf, form }: AudienceReading): PersonFacts {
  const { status, confirmedAt, email, name, timeZone, locale, fields, affiliate, isAffiliate } = record;
  return {
    ...{ status, createdAt, confirmedAt, email, name, timeZone, locale, fields, affiliate, isAffiliate },
    lists: [...record.lists],
    events: record.events,
    arms: [...record.arms].map(([test, arm]) => ({ test, arm })),
    tags: [...record.tags],
    // Few conditions ask for them, and people have many.
    get mails() {
      return record.mails.map((mail) => mailFacts(mail, numberOf));
    },
    orders: record.orders.map(({ refunded, paidAt, lines }) => ({
      ...{ status: refunded ? 'refunded' : 'paid', paidAt, products: productsKept(lines) },
    })),
    memberships: [...record.memberships].map(([product, { now }]) => ({
      ...{ product, state: now.state, endsAt: now.endsAt },
    })),
    enrollments: record.enrollments.map(({ sequence, status: stands }) => ({
      ...{ sequence, funnel: sequence, status: stands },
    })),
    forms: record.signedUp ? [form] : [],
  };
}

function mailFacts(
  { kind, step, dueAt, sentAt, state, hits, topic, arm, isHeldOut = false }: VirtualMail,
  numberOf: AudienceReading['numberOf'],
): MailFacts {
  return {
    at: sentAt ?? dueAt,
    broadcast: kind === 'broadcast' ? numberOf(step ?? '') : null,
    funnel: topic,
    step: kind === 'sequence' ? step : null,
    ...{ arm, isHeldOut },
    state: sentAt === null ? state : 'accepted',
    hits: hits.map((hit) => ({ ...hit, class: 'human' })),
  };
}

/** Of an own field that is asked so; an installation knows its fields, and refuses what cannot be asked of them. */
function typeAsked(condition: FieldCondition, held: unknown): FieldType {
  const { op } = condition;
  if (op === 'atLeast' || op === 'atMost' || op === 'above' || op === 'below') return 'number';
  if (op === 'before' || op === 'after' || op === 'withinDays' || op === 'inNextDays') return 'date';
  const value = op === 'is' || op === 'isNot' ? condition.value : held;
  return typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'text';
}
