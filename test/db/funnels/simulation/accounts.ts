import type { SimulatedPerson, SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import type { TimelineEntry } from '../../../../src/funnels/simulation/timeline.js';
import { moneyToText } from '../../../../src/values/money.js';
import type { TestApp } from '../../../support/app.js';
import type { Replay } from './replay.js';

/** What has happened to a person, in the same words for both worlds, each list in an order of its own. */
export interface Account {
  mails: string[];
  notSent: string[];
  steps: string[];
  places: string[];
  waits: string[];
  offers: string[];
  orders: string[];
  upsells: string[];
  commissions: string[];
  refunds: string[];
  clawbacks: string[];
  tags: string[];
  fields: Record<string, unknown>;
}

export function accountOfSimulation(
  { timeline, record }: SimulatedPerson,
  { start, days }: SimulationOrder,
): Account {
  const told = <W extends TimelineEntry['what']>(what: W): Extract<TimelineEntry, { what: W }>[] =>
    timeline.filter((entry): entry is Extract<TimelineEntry, { what: W }> => entry.what === what);
  const until = new Date(start.getTime() + days * 86_400_000);
  const sequenceOf = new Map(record.enrollments.map(({ id, sequence }) => [id, sequence]));
  return {
    mails: told('mail')
      .map(({ at, kind, sequence = '', step = '', template = '' }) => {
        const subject = kind === 'broadcast' ? (/“(.*)”$/.exec(template)?.[1] ?? '') : '';
        return `${at} ${kind} ${sequence} ${step} ${subject}`;
      })
      .toSorted(),
    notSent: told('cancelled')
      .map(({ sequence = '', step, reason }) => `${sequence} ${step}: ${reason}`)
      .toSorted(),
    steps: told('step')
      .map(({ at, sequence, step, outcome }) => `${at} ${sequence} ${step}: ${outcome}`)
      .toSorted(),
    places: record.enrollments.map(
      ({ sequence, status, exitReason, stepKey, nextAt, startedAt, endedAt }) =>
        `${sequence} from ${text(startedAt)} ${status} ${exitReason ?? ''} at ${stepKey ?? ''} ${text(nextAt)} to ${text(endedAt)}`,
    ),
    waits: lastWaits(timeline).toSorted(),
    offers: record.grants
      .map(
        ({ enrollmentId, offer, expiresAt, at }) =>
          `${text(at)} ${sequenceOf.get(enrollmentId)} ${offer} ${text(expiresAt)}`,
      )
      .toSorted(),
    orders: told('bought')
      .filter(({ at }) => at < until.toISOString())
      .map(({ at, offer, total }) => `${at} ${offer} ${moneyToText(total)}`)
      .toSorted(),
    upsells: record.orders
      .flatMap(({ upsells }) => upsells)
      .map(({ slug, kind, answer }) => `${kind} ${slug}: ${answer ?? '-'}`)
      .toSorted(),
    commissions: told('commission')
      .map(({ at, affiliate, amount, dueAt }) => `${at} ${affiliate} ${moneyToText(amount)} due ${dueAt}`)
      .toSorted(),
    refunds: told('refunded')
      .map(({ at, offer, total }) => `${at} ${offer} ${moneyToText(total)}`)
      .toSorted(),
    clawbacks: told('clawed back')
      .map(({ at, affiliate, amount }) => `${at} ${affiliate} ${moneyToText(amount)}`)
      .toSorted(),
    tags: [...record.tags].toSorted(),
    fields: record.fields,
  };
}

/** A wait that something else at the same moment has ended is seen by nobody who looks from outside. */
function lastWaits(timeline: readonly TimelineEntry[]): string[] {
  const last = new Map<string, string>();
  for (const entry of timeline) {
    if (entry.what === 'waits')
      last.set(`${entry.at} ${entry.sequence} ${entry.occurrence}`, `${entry.step} until ${entry.until}`);
    if (entry.what !== 'exited' && entry.what !== 'completed') continue;
    for (const when of last.keys()) if (when.startsWith(`${entry.at} ${entry.sequence} `)) last.delete(when);
  }
  return [...last].map(([when, wait]) => `${when} ${wait}`);
}

export async function accountOfRun(test: TestApp, replay: Replay, person: SimulatedPerson): Promise<Account> {
  const id = replay.idOf(person.persona, person.number);
  const rows = async <R>(sql: string): Promise<R[]> => test.dataSource.query(sql, [id]);
  const mails = await rows<{
    at: Date | null;
    kind: string;
    sequence: string;
    step: string | null;
    broadcast: string | null;
    subject: string;
    state: string;
    reason: string;
  }>(
    `select accepted_at as at, kind, case when kind = 'sequence' then funnel_key else '' end as sequence,
       step_key as step, broadcast_id as broadcast, state, state_reason as reason, t.subject
     from message left join email_template t on t.id = email_template_id where subscriber_id = $1 and kind <> 'notice'`,
  );
  const steps = await rows<{ at: Date; sequence: string; step: string; outcome: string }>(
    `select s.at, q.key as sequence, s.step_key as step, s.outcome from enrollment_step s
     join enrollment e on e.id = s.enrollment_id join sequence q on q.id = e.sequence_id where e.subscriber_id = $1`,
  );
  const places = await rows<{
    sequence: string;
    status: string;
    reason: string | null;
    step: string | null;
    next: Date | null;
    began: Date;
    ended: Date | null;
  }>(
    `select q.key as sequence, e.status, e.exit_reason as reason, e.step_key as step, e.next_at as next, e.started_at as began,
       e.ended_at as ended from enrollment e join sequence q on q.id = e.sequence_id where e.subscriber_id = $1 order by e.id`,
  );
  const offers = await rows<{ at: Date; sequence: string; offer: string; expires: Date | null }>(
    `select o.created_at as at, q.key as sequence, o.offer_slug as offer, o.expires_at as expires from enrollment_offer o
     join enrollment e on e.id = o.enrollment_id join sequence q on q.id = e.sequence_id where o.subscriber_id = $1`,
  );
  const orders = await rows<{ at: Date; offer: string; amountMinor: number; currency: string }>(
    `select o.paid_at as at, f.slug as offer, o.amount_minor::int as "amountMinor", o.currency from orders o
     join offer f on f.id = o.offer_id where o.subscriber_id = $1`,
  );
  const upsells = await rows<{ offer: string; kind: string; answer: string | null }>(
    `select f.slug as offer, u.kind, u.answer from upsell u join offer f on f.id = u.offer_id join orders o on o.id = u.order_id
     where o.subscriber_id = $1`,
  );
  const commissions = await rows<{
    at: Date;
    code: string;
    amountMinor: number;
    currency: string;
    dueAt: Date;
  }>(
    `select c.created_at as at, a.code, sum(c.amount_minor)::int as "amountMinor", c.currency, c.due_at as "dueAt" from commission c
     join affiliate a on a.id = c.affiliate_id join orders o on o.id = c.order_id where o.subscriber_id = $1
     group by c.order_id, c.created_at, a.code, c.currency, c.due_at`,
  );
  const refunds = await rows<{ at: Date; offer: string; amountMinor: number; currency: string }>(
    `select r.at, f.slug as offer, r.amount_minor::int as "amountMinor", r.currency from refund r join orders o on o.id = r.order_id
     join offer f on f.id = o.offer_id where o.subscriber_id = $1`,
  );
  const clawbacks = await rows<{ at: Date; code: string; amountMinor: number; currency: string }>(
    `select b.created_at as at, a.code, sum(b.amount_minor)::int as "amountMinor", b.currency from clawback b
     join affiliate a on a.id = b.affiliate_id join commission c on c.id = b.commission_id join orders o on o.id = c.order_id
     where o.subscriber_id = $1 group by c.order_id, b.created_at, a.code, b.currency`,
  );
  const [own] = await rows<{ tags: string[]; fields: Record<string, unknown> }>(
    `select fields, array(select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = s.id) as tags
     from subscriber s where id = $1`,
  );
  const sent = mails.filter(({ state }) => state === 'accepted');
  return {
    mails: sent
      .map(({ at, kind, sequence, step, broadcast, subject }) => {
        const own = broadcast !== null && replay.broadcasts.subjects().has(subject) ? subject : '';
        return `${text(at)} ${kind} ${sequence} ${step ?? replay.broadcasts.keyOf(broadcast) ?? ''} ${own}`;
      })
      .toSorted(),
    notSent: mails
      .filter(({ state }) => state !== 'accepted' && state !== 'ready' && state !== 'held')
      .map(
        ({ sequence, step, broadcast, reason }) =>
          `${sequence} ${step ?? replay.broadcasts.keyOf(broadcast) ?? ''}: ${reason}`,
      )
      .toSorted(),
    steps: steps
      .map(({ at, sequence, step, outcome }) => `${text(at)} ${sequence} ${step}: ${outcome}`)
      .toSorted(),
    places: places.map(
      ({ sequence, status, reason, step, next, began, ended }) =>
        `${sequence} from ${text(began)} ${status} ${reason ?? ''} at ${step ?? ''} ${text(next)} to ${text(ended)}`,
    ),
    waits: (replay.waits.get(id) ?? []).toSorted(),
    offers: offers
      .map(({ at, sequence, offer, expires }) => `${text(at)} ${sequence} ${offer} ${text(expires)}`)
      .toSorted(),
    orders: orders.map(({ at, offer, ...total }) => `${text(at)} ${offer} ${moneyToText(total)}`).toSorted(),
    upsells: upsells.map(({ offer, kind, answer }) => `${kind} ${offer}: ${answer ?? '-'}`).toSorted(),
    commissions: commissions
      .map(
        ({ at, code, dueAt, ...amount }) => `${text(at)} ${code} ${moneyToText(amount)} due ${text(dueAt)}`,
      )
      .toSorted(),
    refunds: refunds
      .map(({ at, offer, ...amount }) => `${text(at)} ${offer} ${moneyToText(amount)}`)
      .toSorted(),
    clawbacks: clawbacks
      .map(({ at, code, ...amount }) => `${text(at)} ${code} ${moneyToText(amount)}`)
      .toSorted(),
    tags: (own?.tags ?? []).toSorted(),
    fields: own?.fields ?? {},
  };
}

function text(at: Date | null): string {
  return at === null ? '-' : at.toISOString();
}
