import type { EntityManager } from 'typeorm';
import { domainSql } from '../values/email-address.js';
import { type Complainer, complaintsOfOne } from './complainers.js';
import type { ExperimentTerms } from './experiment-terms.js';
import { breaches } from './guard-rails.js';
import { type ArmRow, harmsOf, type OutcomeRow } from './results.js';

/** Conditions on a mail `m`, with what they join it with. */
const SENT = { where: `m.state in ('accepted', 'unknown')` };
const CLICKED = {
  join: 'join tracking_event t on t.message_id = m.id',
  where: `t.kind = 'click' and t.class = 'human' and t.at <= a.assigned_at + $3 * interval '1 second'`,
};
const COMPLAINED = {
  join: 'join bounce b on b.message_id = m.id',
  where: `b.verdict = 'complaint' and b.trusted`,
};

/**
 * Whether one of the mails by which an arm is judged is so: that of the step, or any on the path. Each is looked up by its
 * key: for a list of keys the planner takes a join that reads all clicks for every person.
 */
function anyMail({ paths }: ExperimentTerms, { join = '', where }: { join?: string; where: string }): string {
  const isSo = (step: string): string =>
    `exists (select 1 from message m ${join} where m.dedupe_key = 'seq:' || a.enrollment_id || ':' || ${step} and ${where})`;
  if (paths === undefined) return isSo('x.step_key');
  return `coalesce((select bool_or(${isSo('k')}) from jsonb_array_elements_text(x.terms -> 'paths' -> a.arm) k), false)`;
}

/**
 * Who was lost on the way to a mail that comes at the arm's own time: it was planned and has not left, or they still stand
 * at its step though their time is over. Who left the sequence, or has a pause, was not.
 */
function lost(terms: ExperimentTerms): string {
  const unsent = { where: `m.state not in ('accepted', 'unknown')` };
  const stands = terms.paths === undefined ? `or (e.status = 'active' and e.step_key = x.step_key)` : '';
  return `(not ${anyMail(terms, SENT)} and exists (
    select 1 from enrollment e join subscriber s on s.id = e.subscriber_id
    where e.id = a.enrollment_id and e.status <> 'exited' and s.status = 'active' and s.paused_until is null
      and (${anyMail(terms, unsent)} ${stands})))`;
}

/**
 * Called by experiments.decide, hourly; locks nothing. People are all who came up to one moment, those without mail too:
 * arms can only be compared as they were drawn. Clicks by `message_dedupe_key_key` and `tracking_event_message`, orders
 * by `conversion_subscriber`.
 */
export async function countOutcomes(
  manager: EntityManager,
  { id, terms, now }: { id: string; terms: ExperimentTerms; now: Date },
): Promise<OutcomeRow[]> {
  const { cap, withinSeconds } = terms;
  const value = cap === null ? `(${anyMail(terms, CLICKED)})::int` : PAID;
  return manager.query(
    `with person as (
       select a.arm, a.period, ${value} as value,
         ${terms.isTimed ? `not ${lost(terms)}` : anyMail(terms, SENT)} as reached
       from experiment_assignment a join experiment x on x.id = a.experiment_id
       where a.experiment_id = $1 and not a.carried and a.assigned_at <= $2::timestamptz - $3 * interval '1 second'),
     sums as (
       select arm, period, value, count(*)::int as count, count(*) filter (where reached)::int as reached
       from person group by 1, 2, 3)
     select arm, period, sum(count)::int as people, sum(reached)::int as reached,
       coalesce(jsonb_agg(jsonb_build_object('value', value, 'count', count) order by value) filter (where value > 0), '[]') as outcomes
     from sums group by 1, 2 order by 1, 2`,
    [id, now, withinSeconds, ...(cap === null ? [] : [cap.amountMinor, cap.currency])],
  );
}

/** Orders of the funnel without what was refunded, whichever mail they came by: an arm may only hurry what would have been bought anyway. */
const PAID = `least($4::bigint, (select coalesce(sum(c.amount_minor - coalesce(o.refunded_minor, 0)), 0) from conversion c left join orders o on o.id = c.order_id
  where c.subscriber_id = a.subscriber_id and c.kind = 'order' and c.funnel_key = x.funnel_key and c.currency = $5
    and c.at >= a.assigned_at and c.at <= a.assigned_at + $3 * interval '1 second' and coalesce(o.status, 'paid') = 'paid'))::int`;

/**
 * Called by experiments.decide and by its pages. Served as above, by `consent_event_subscriber` and `bounce_message`. Whose the
 * complaints are is asked where an arm would be stopped for them.
 */
export async function countPeople(
  manager: EntityManager,
  { id, terms }: { id: string; terms: ExperimentTerms },
): Promise<ArmRow[]> {
  const people: ArmRow[] = await manager.query(
    `select a.arm, count(*)::int as people,
       count(*) filter (where ${anyMail(terms, SENT)})::int as reached,
       count(*) filter (where exists (select 1 from consent_event c where c.subscriber_id = a.subscriber_id
         and c.kind = 'withdrawn' and c.purpose = 'marketing' and c.at >= a.assigned_at
         and c.at <= a.assigned_at + $2 * interval '1 second'))::int as unsubscribes,
       count(*) filter (where ${anyMail(terms, COMPLAINED)})::int as complaints
     from experiment_assignment a join experiment x on x.id = a.experiment_id
     where a.experiment_id = $1 and not a.carried group by 1 order by 1`,
    [id, terms.withinSeconds],
  );
  if (!breaches(terms, harmsOf({ terms, people })).some(({ rail }) => rail === 'complaints')) return people;
  const complainers = await complainersOf(manager, { id, terms });
  return people.map((row) => {
    const own = complainers.filter(({ arm }) => arm === row.arm);
    return { ...row, ofOne: complaintsOfOne(own, row.people) };
  });
}

/** Reads all people of the test once. Served as `countPeople`, and by the key of `subscriber`. */
async function complainersOf(
  manager: EntityManager,
  { id, terms }: { id: string; terms: ExperimentTerms },
): Promise<Complainer[]> {
  return manager.query(
    `with person as materialized (
       select a.arm, s.email_key as address, ${domainSql('s.email_key')} as domain, ${anyMail(terms, COMPLAINED)} as complained
       from experiment_assignment a join experiment x on x.id = a.experiment_id join subscriber s on s.id = a.subscriber_id
       where a.experiment_id = $1 and not a.carried)
     select arm, address, domain, (select count(*)::int from person o where o.arm = p.arm and o.domain = p.domain) as people
     from person p where complained`,
    [id],
  );
}
