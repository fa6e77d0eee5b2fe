import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { arrayLiteral } from '../infra/database/array-literal.js';
import type { DueEnrollment } from './advance-batch.js';
import type { BatchPlan, Decision, Grant } from './batch-plan.js';

/** A place in the order in which enrollments fall due: everything up to it has been looked at. */
export interface DuePlace {
  nextAtMs: number;
  id: string;
}

/** Hits are stored a little out of order; the look-back costs a few milliseconds. */
const HITS_LOOKED_AT_AGAIN = 5_000;

/** The SQL of a run: each statement takes a whole batch. */
@Injectable()
export class EnrollmentsQueries {
  /** The newest hit on any mail, '0' when there is none. */
  async newestHit(manager: EntityManager): Promise<string> {
    const rows: { id: string }[] = await manager.query(
      'select coalesce(max(id), 0) as id from tracking_event',
    );
    return rows[0]?.id ?? '0';
  }

  /**
   * Brings forward those who wait for a person's open or click that has come since the hit `since`. Served by the primary
   * keys of `tracking_event`, `message` and `enrollment`.
   */
  async noticeHits(manager: EntityManager, now: Date, since: string): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $1 where id in (
         select n.id from tracking_event e join message m on m.id = e.message_id join enrollment n on n.id = m.enrollment_id
         where e.id > $2::bigint and e.class = 'human' and n.status = 'active' and n.next_at > $1 and m.step_key = any(n.watches)
         for update of n skip locked)`,
      [now, String(BigInt(since) - BigInt(HITS_LOOKED_AT_AGAIN))],
    );
  }

  /** As `noticeHits`, whenever the hit came: a verdict may have changed. Served by `enrollment_watching` and the dedupe key. */
  async noticeAllHits(manager: EntityManager, now: Date): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $1 where id in (
         select n.id from enrollment n
         where n.watches is not null and n.status = 'active' and n.next_at > $1 and exists (
           select 1 from unnest(n.watches) as step (key)
           join message m on m.dedupe_key = 'seq:' || n.id || ':' || step.key
           join tracking_event e on e.message_id = m.id where e.class = 'human')
         for update of n skip locked)`,
      [now],
    );
  }

  /**
   * Locks the rows until the caller's transaction ends; two workers get disjoint ones. Starts behind `after`: the index
   * still holds the entries of those who were moved on before, and a batch at the end of a million would walk over them
   * all. Served by `enrollment_due`.
   */
  async claimDue(
    manager: EntityManager,
    { now, limit, after }: { now: Date; limit: number; after: DuePlace | null },
  ): Promise<DueEnrollment[]> {
    return manager.query(
      `with due as materialized (
         select id, version_id, step_key, data, had, subscriber_id, next_at, wait_until
         from enrollment where status = 'active' and next_at <= $1 and (next_at, id) > ($3, $4)
         order by next_at, id limit $2 for update skip locked)
       select d.id, d.version_id as "versionId", d.step_key as "stepKey", d.data::text as data, d.had::text as had,
         d.subscriber_id as "subscriberId", s.email, s.email_key as "emailKey", s.status, s.time_zone as "timeZone",
         extract(epoch from d.next_at)::float8 * 1000 as "nextAtMs",
         extract(epoch from d.wait_until)::float8 * 1000 as "waitUntilMs"
       from due d join subscriber s on s.id = d.subscriber_id`,
      [now, limit, new Date(after?.nextAtMs ?? 0), after?.id ?? '0'],
    );
  }

  /**
   * `planned_for` is for the owner to read: `next_at` of who was woken before their time says when that was, and no more.
   * A commit that nobody outside hears of need not wait for the disk: what a crash of PostgreSQL undoes, mails and pointers
   * together, is planned anew, and a mail goes out only behind a barrier, whose commit is waited for and takes all earlier
   * ones along. Hooks and notices go out without one.
   */
  async move(manager: EntityManager, { states, moves, hooks, notices }: BatchPlan, now: Date): Promise<void> {
    if (moves.length === 0) return;
    const heardOutside = hooks.length + notices.length > 0;
    await manager.query(
      `with quick as materialized (
         select case when $5::boolean then set_config('synchronous_commit', 'off', true) end)
       update enrollment e set status = u.status, exit_reason = u."exitReason", step_key = u."stepKey",
         next_at = case when u.status = 'active' then coalesce(u."nextAt", e.wait_until) end,
         ended_at = case when u.status = 'active' then null else $4::timestamptz end,
         wait_until = case when u."keepsDeadline" then e.wait_until else u."waitUntil" end, watches = u.watches,
         planned_for = case when u."isPutOff" then coalesce(e.planned_for, case when e.wait_until > $4 then null else e.next_at end)
           when u."keepsDeadline" then e.planned_for end
       from (
         select r.id, s.* from unnest($1::bigint[], $2::int[]) as r (id, state)
         join jsonb_to_recordset($3::jsonb) as s (place int, status text, "exitReason" text, "stepKey" text,
           "nextAt" timestamptz, "waitUntil" timestamptz, "keepsDeadline" boolean, "isPutOff" boolean, watches text[]) on s.place = r.state) u, quick
       where e.id = u.id`,
      [
        arrayLiteral(moves.map(({ id }) => id)),
        arrayLiteral(moves.map(({ state }) => state)),
        JSON.stringify(states.map((state, place) => ({ ...state, place }))),
        now,
        !heardOutside,
      ],
    );
  }

  /** Leaves people where they are until `until`. */
  async postpone(manager: EntityManager, ids: readonly string[], until: Date): Promise<void> {
    if (ids.length === 0) return;
    await manager.query('update enrollment set next_at = $2 where id = any($1::bigint[])', [ids, until]);
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

  async grantOffers(manager: EntityManager, grants: readonly Grant[], now: Date): Promise<void> {
    if (grants.length === 0) return;
    await manager.query(
      `insert into enrollment_offer (enrollment_id, offer_slug, subscriber_id, expires_at, created_at)
       select r.enrollment_id, r.offer_slug, r.subscriber_id, r.expires_at, $5
       from unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[])
         as r (enrollment_id, offer_slug, subscriber_id, expires_at)
       on conflict do nothing`,
      [
        grants.map(({ enrollmentId }) => enrollmentId),
        grants.map(({ offerSlug }) => offerSlug),
        grants.map(({ subscriberId }) => subscriberId),
        grants.map(({ expiresAt }) => expiresAt),
        now,
      ],
    );
  }
}
