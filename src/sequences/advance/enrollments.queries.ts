import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { RESTORED_UNTIL } from '../../delivery/generation/generation.queries.js';
import { ANEW } from '../../delivery/ledger/counted-anew.queries.js';
import { arrayLiteral } from '../../infra/database/array-literal.js';
import type { DueGroup } from './due-group.js';
import type { BatchPlan, Decision, Grant } from './batch-plan.js';
import { readDue } from './due-lines.js';
import { turnAt } from './turn-at.js';

/** A place in the order in which enrollments fall due: everything up to it has been looked at. */
export interface DueCursor {
  nextAtMs: number;
  id: string;
}

interface Claimed {
  lines: string | null;
  /** Of the one who fell due first. */
  data: string | null;
  lastAtMs: number | null;
  lastId: string | null;
}

/** Epoch milliseconds, as those of `lateSince`. */
const HOUR = '(ceil(extract(epoch from d.next_at)::float8 / 3600) * 3600000)::bigint';
/** The last that counts as before the owner's word about a restored backup. */
const BEFORE_RESTORED = `(select (extract(epoch from until) * 1000)::bigint - 1 from restored)`;

/** The SQL of a run: each statement takes a whole batch. */
@Injectable()
export class EnrollmentsQueries {
  /**
   * Locks the rows until the caller's transaction ends; two workers get disjoint ones. Starts behind `after`: the index
   * still holds the entries of those who were moved on before, and a batch at the end of a million would walk over them
   * all. `last` is how far it came.
   *
   * Served by `enrollment_due` and the primary key of `subscriber`; `offset 0` keeps PostgreSQL from reading all
   * subscribers once for each batch. People come as one text: a row and a dozen values for each of them took more time
   * than all else the worker does, and sorting them into groups a fifth of it. What `data` they have is told where it is
   * not that of the first. `lateSinceMs` is `lateSince` in SQL, but before the owner's word about a restored backup for all who
   * were due before it: their mail may have gone out. Those go on also where the mails of their sequence are paused; the others
   * of it are `stopped`.
   */
  async claimDue(
    manager: EntityManager,
    { now, limit, after }: { now: Date; limit: number; after: DueCursor | null },
  ): Promise<{ due: DueGroup[]; last: DueCursor | null }> {
    const rows: Claimed[] = await manager.query(
      `with due as materialized (
         select id, version_id, step_key, data, had, hours_of, subscriber_id, next_at, wait_until
         from enrollment where status = 'active' and next_at <= $1 and (next_at, id) > ($3, $4)
         order by next_at, id limit $2 for update skip locked),
       restored as materialized (select ${RESTORED_UNTIL} as until),
       stopped as materialized (
         select v.id from sequence_pause p join sequence q on q.funnel_key = p.funnel_key
           join sequence_version v on v.sequence_id = q.id where p.released_at is null),
       first as materialized (select data from due limit 1),
       last as materialized (select next_at, id from due order by next_at desc, id desc limit 1)
       select (select data::text from first) as data, (select id from last) as "lastId",
         (select extract(epoch from next_at)::float8 * 1000 from last) as "lastAtMs",
         string_agg(d.id || ' ' || d.subscriber_id || ' ' || s.email_key || ' '
           || case when s.email = s.email_key then '' else s.email end || E'\t'
           || d.version_id || E'\t' || d.step_key || E'\t' || case when s.status = 'active' and d.version_id in (select id from stopped)
             and (d.next_at < (select until from restored)) is not true then 'stopped' else s.status end || E'\t' || coalesce(s.time_zone, '') || E'\t'
           || case when d.wait_until is null then 'new' when d.wait_until = ${ANEW} then 'anew' when d.wait_until <= $1 then 'over' else 'pending' end || E'\t'
           || case when d.next_at < (select until from restored) then least(${HOUR}, ${BEFORE_RESTORED})::text
             when d.next_at < $1::timestamptz - interval '1 hour' then ${HOUR}::text else '' end || E'\t'
           || coalesce(d.hours_of, '') || E'\t' || coalesce(d.had::text, '') || E'\t' || case when d.data = (select data from first) then '' else d.data::text end,
           E'\n') as lines
       from due d cross join lateral (
         select p.email, p.email_key, p.time_zone,
           case when p.status = 'active' and p.paused_until is not null then 'paused' else p.status end as status
         from subscriber p where p.id = d.subscriber_id offset 0) s`,
      [now, limit, new Date(after?.nextAtMs ?? 0), after?.id ?? '0'],
    );
    const [claimed] = rows;
    if (!claimed || claimed.lines === null || claimed.lastAtMs === null) return { due: [], last: null };
    return {
      due: readDue(claimed.lines, claimed.data ?? '{}'),
      last: { nextAtMs: claimed.lastAtMs, id: claimed.lastId ?? '0' },
    };
  }

  /**
   * `planned_for` is for the owner to read: `next_at` of who was woken before their time says when that was, and no more.
   * A commit that nobody outside hears of need not wait for the disk: what a crash of PostgreSQL undoes, mails and pointers
   * together, is planned anew, and a mail goes out only behind a barrier, whose commit is waited for and takes all earlier
   * ones along. Hooks and notices go out without one.
   */
  async move(manager: EntityManager, { states, moves, hooks, notices }: BatchPlan, now: Date): Promise<void> {
    if (moves.ids.length === 0) return;
    const heardOutside = hooks.length + notices.length > 0;
    await manager.query(
      `with quick as materialized (
         select case when $5::boolean then set_config('synchronous_commit', 'off', true) end)
       update enrollment e set status = u.status, exit_reason = u."exitReason", step_key = u."stepKey",
         next_at = case when u.status = 'active' then coalesce(u."nextAt", e.wait_until) end,
         ended_at = case when u.status = 'active' then null else $4::timestamptz end,
         wait_until = case when u."keepsDeadline" then e.wait_until else u."waitUntil" end, watches = u.watches, hours_of = u."hoursOf",
         came_at = case u."cameAt" when 'same' then e.came_at when 'turn' then ${turnAt('e')} else u."cameAt"::timestamptz end,
         planned_for = case when u."isPutOff" then coalesce(e.planned_for, case when e.wait_until > $4 then null else e.next_at end)
           when u."keepsDeadline" then e.planned_for end
       from (
         select r.id, s.* from unnest($1::bigint[], $2::int[]) as r (id, state)
         join jsonb_to_recordset($3::jsonb) as s (place int, status text, "exitReason" text, "stepKey" text,
           "nextAt" timestamptz, "waitUntil" timestamptz, "keepsDeadline" boolean, "cameAt" text, "isPutOff" boolean, "hoursOf" text, watches text[]) on s.place = r.state) u, quick
       where e.id = u.id`,
      [
        arrayLiteral(moves.ids),
        arrayLiteral(moves.states),
        JSON.stringify(states.map((state, place) => ({ ...state, place }))),
        now,
        !heardOutside,
      ],
    );
  }

  /**
   * Leaves people who want a pause where they are until its end; returns how many. Who begins or ends one at this moment
   * holds the subscriber and waits for these enrollments, so waiting here could be a deadlock: those stay due.
   */
  async holdPaused(manager: EntityManager, ids: readonly string[], now: Date): Promise<number> {
    if (ids.length === 0) return 0;
    const [, count]: [unknown[], number] = await manager.query(
      `with paused as materialized (
         select e.id, s.paused_until as until from enrollment e join subscriber s on s.id = e.subscriber_id
         where e.id = any($1::bigint[]) and s.paused_until > $2 for share of s skip locked)
       update enrollment e set next_at = p.until, planned_for = null from paused p where e.id = p.id`,
      [ids, now],
    );
    return count;
  }

  /**
   * Leaves people of a sequence whose mails are paused where they are, without a time until `letGoOn`: with one they would be
   * due, and looked at, again and again for as long as the pause lasts. `planned_for` keeps when they were due.
   */
  async holdStopped(manager: EntityManager, ids: readonly string[]): Promise<number> {
    if (ids.length === 0) return 0;
    await manager.query(
      'update enrollment set planned_for = next_at, next_at = null where id = any($1::bigint[])',
      [ids],
    );
    return ids.length;
  }

  /**
   * The turn comes now of some who stood still for a pause that is over, also of those whom a run has stopped that began before its
   * end; returns how many. Before the owner's word about a restored backup it comes when it was due, whatever is paused: their mail
   * may have gone out since. Called before each run; a look into `enrollment_stopped` for each sequence.
   */
  async letGoOn(manager: EntityManager, now: Date, limit: number): Promise<number> {
    const [, count]: [unknown[], number] = await manager.query(
      `with restored as materialized (select ${RESTORED_UNTIL} as until),
       over as materialized (
         select n.id from sequence q cross join lateral (
           select e.id from enrollment e where e.sequence_id = q.id and e.status = 'active' and e.next_at is null
             and e.planned_for < case when exists (
               select 1 from sequence_pause p where p.funnel_key = q.funnel_key and p.released_at is null)
               then (select until from restored) else 'infinity' end
           order by e.planned_for limit $2 for update skip locked) n limit $2)
       update enrollment e set planned_for = null,
         next_at = case when e.planned_for < (select until from restored) then e.planned_for else $1 end
       from over where e.id = over.id`,
      [now, limit],
    );
    return count;
  }

  /**
   * When the waits of these enrollments are over, and when the last of the mails that they wait for went, or is to go; the present for
   * one that is held, stands in the backlog of a quota or is kept by a relay. Without those that never go, and those that went by a clock
   * that was ahead, of which nobody knows when. By primary key and `message_dedupe_key_key`.
   */
  async watchedMails(
    manager: EntityManager,
    ids: readonly string[],
    now: Date,
  ): Promise<Map<string, { waitUntil: Date; wentAt: Date }>> {
    const rows: { id: string; waitUntil: Date; wentAt: Date | null }[] = await manager.query(
      `select e.id, e.wait_until as "waitUntil", max(case m.state
           when 'held' then $2::timestamptz
           when 'accepted' then case when m.accepted_at <= $2 then m.accepted_at end
           when 'unknown' then case when m.data_at <= $2 then m.data_at end
           else greatest(m.due_at, $2) end) as "wentAt"
       from enrollment e cross join lateral unnest(e.watches) as w (step)
         join message m on m.dedupe_key = 'seq:' || e.id || ':' || w.step
       where e.id = any($1::bigint[]) and (m.state in ('accepted', 'unknown')
         or m.state in ('ready', 'leased', 'held') and (m.expires_at <= $2) is not true)
       group by e.id`,
      [ids, now],
    );
    return new Map(
      rows.flatMap(({ id, waitUntil, wentAt }) =>
        wentAt === null ? [] : [[id, { waitUntil, wentAt }] as const],
      ),
    );
  }

  /** They wait for what they wait for until then. */
  async waitUntil(manager: EntityManager, waits: readonly { id: string; until: Date }[]): Promise<void> {
    if (waits.length === 0) return;
    await manager.query(
      `update enrollment e set wait_until = w.until, next_at = w.until
       from unnest($1::bigint[], $2::timestamptz[]) as w (id, until) where e.id = w.id`,
      [waits.map(({ id }) => id), waits.map(({ until }) => until)],
    );
  }

  /** Leaves people where they are until `until`. */
  async postpone(manager: EntityManager, ids: readonly string[], until: Date): Promise<void> {
    if (ids.length === 0) return;
    await manager.query(
      `update enrollment e set next_at = $2, came_at = case when e.wait_until is null then ${turnAt('e')} else e.came_at end
       where e.id = any($1::bigint[])`,
      [ids, until],
    );
  }

  /** What came of steps that are no mails. That a step's mail was planned is said by the message itself, and only there. */
  async recordDecisions(manager: EntityManager, decisions: readonly Decision[], now: Date): Promise<void> {
    if (decisions.length === 0) return;
    await manager.query(
      `insert into enrollment_step (enrollment_id, step_key, outcome, at)
       select r.enrollment_id, r.step_key, r.outcome, $4
       from unnest($1::bigint[], $2::text[], $3::text[]) as r (enrollment_id, step_key, outcome)
       on conflict do nothing`,
      [
        decisions.map(({ enrollmentId }) => enrollmentId),
        decisions.map(({ stepKey }) => stepKey),
        decisions.map(({ outcome }) => outcome),
        now,
      ],
    );
  }

  /** What the mails of a batch promise. One that is over and is not given anew stays as it was. */
  async grantOffers(manager: EntityManager, grants: readonly Grant[], now: Date): Promise<void> {
    if (grants.length === 0) return;
    await manager.query(
      `insert into enrollment_offer
         (enrollment_id, offer_slug, subscriber_id, product_id, expires_at, amount_minor, currency, created_at)
       select r.*, $8 from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[]) as r
       on conflict (enrollment_id, offer_slug) do update
         set product_id = excluded.product_id, expires_at = excluded.expires_at, created_at = excluded.created_at,
           amount_minor = excluded.amount_minor, currency = excluded.currency
         where excluded.expires_at is null or excluded.expires_at > $8`,
      [
        grants.map(({ enrollmentId }) => enrollmentId),
        grants.map(({ offerSlug }) => offerSlug),
        grants.map(({ subscriberId }) => subscriberId),
        grants.map(({ productId }) => productId),
        grants.map(({ expiresAt }) => expiresAt),
        grants.map(({ price }) => price.amountMinor),
        grants.map(({ price }) => price.currency),
        now,
      ],
    );
  }
}

/** The later of two places; batches of two loops may end in either order. */
export function furtherCursor(place: DueCursor, other: DueCursor | null): DueCursor {
  if (other === null || place.nextAtMs > other.nextAtMs) return place;
  return place.nextAtMs === other.nextAtMs && isLater(place.id, other.id) ? place : other;
}

/** Ids are whole numbers as text, without leading zeros. */
function isLater(id: string, other: string): boolean {
  return id.length === other.length ? id > other : id.length > other.length;
}
