import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Sender } from '../delivery/message.js';
import { arrayLiteral } from '../infra/database/array-literal.js';
import type { BatchPlan, Decision, DueEnrollment, Grant } from './advance-batch.js';
import type { SequenceDefinition } from './definition.js';

/** A place in the order in which enrollments fall due: everything up to it has been looked at. */
export interface DuePlace {
  nextAtMs: number;
  id: string;
}

/** Hits are stored a little out of order; the look-back costs a few milliseconds. */
const HITS_LOOKED_AT_AGAIN = 5_000;

/** The SQL of enrolments: each statement takes a whole batch. */
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
   * Brings forward those who wait for a click that has come since the hit `since`, or ever when that is null. Served by
   * the primary key of `tracking_event` and `enrollment_waiting`.
   */
  async noticeClicks(manager: EntityManager, now: Date, since: string | null): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $1 where id in (
         select n.id from tracking_event e join enrollment n on n.waiting_message_id = e.message_id
         where e.id > $2::bigint and e.kind = 'click' and e.class = 'human' and n.status = 'active' and n.next_at > $1
         for update of n skip locked)`,
      [now, since === null ? '0' : String(BigInt(since) - BigInt(HITS_LOOKED_AT_AGAIN))],
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
         select id, version_id, step_key, data, subscriber_id, waiting_message_id, next_at
         from enrollment where status = 'active' and next_at <= $1 and (next_at, id) > ($3, $4)
         order by next_at, id limit $2 for update skip locked)
       select d.id, d.version_id as "versionId", d.step_key as "stepKey", d.data::text as data, d.subscriber_id as "subscriberId",
         s.email, s.email_key as "emailKey", s.status, s.time_zone as "timeZone",
         d.waiting_message_id is not null and exists (select 1 from tracking_event e
           where e.message_id = d.waiting_message_id and e.kind = 'click' and e.class = 'human') as clicked,
         extract(epoch from d.next_at)::float8 * 1000 as "nextAtMs"
       from due d join subscriber s on s.id = d.subscriber_id`,
      [now, limit, new Date(after?.nextAtMs ?? 0), after?.id ?? '0'],
    );
  }

  /** What runs for the people of a batch. The definition of a version never changes, its funnel's sender may. */
  async versions(
    manager: EntityManager,
    ids: readonly string[],
  ): Promise<{ id: string; definition: SequenceDefinition; funnelKey: string; sender: Sender }[]> {
    return manager.query(
      `select v.id, v.definition, q.funnel_key as "funnelKey", q.sender
       from sequence_version v join sequence q on q.id = v.sequence_id where v.id = any($1::bigint[])`,
      [ids],
    );
  }

  /** `waiting_message_id` is looked up only for those who now wait at a branch. */
  async move(manager: EntityManager, { states, moves }: BatchPlan, now: Date): Promise<void> {
    if (moves.length === 0) return;
    await manager.query(
      `update enrollment e set status = u.status, exit_reason = u."exitReason", step_key = u."stepKey", next_at = u."nextAt",
         ended_at = case when u.status = 'active' then null else $4::timestamptz end,
         waiting_message_id = case when u."waitsOnStep" is not null then
           (select m.id from message m where m.dedupe_key = 'seq:' || e.id || ':' || u."waitsOnStep") end
       from (
         select r.id, s.* from unnest($1::bigint[], $2::int[]) as r (id, state)
         join jsonb_to_recordset($3::jsonb) as s (place int, status text, "exitReason" text, "stepKey" text,
           "nextAt" timestamptz, "waitsOnStep" text) on s.place = r.state) u
       where e.id = u.id`,
      [
        arrayLiteral(moves.map(({ id }) => id)),
        arrayLiteral(moves.map(({ state }) => state)),
        JSON.stringify(states.map((state, place) => ({ ...state, place }))),
        now,
      ],
    );
  }

  /** Leaves people where they are until `until`. */
  async postpone(manager: EntityManager, ids: readonly string[], until: Date): Promise<void> {
    if (ids.length === 0) return;
    await manager.query('update enrollment set next_at = $2 where id = any($1::bigint[])', [ids, until]);
  }

  /** Which way people went at a branch. That a step's mail was planned is said by the message itself, and only there. */
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

  /** Ends active enrolments and returns their ids: all of the subscriber's, or those a purchase ends, or one funnel's. */
  async exit(
    manager: EntityManager,
    {
      subscriberId,
      productKey,
      funnelKey,
      reason,
      now,
    }: {
      subscriberId: string;
      productKey: string | null;
      funnelKey: string | null;
      reason: string;
      now: Date;
    },
  ): Promise<string[]> {
    const [rows]: [{ id: string }[], number] = await manager.query(
      `update enrollment e set status = 'exited', exit_reason = $3, ended_at = $4, next_at = null, waiting_message_id = null
       from sequence_version v join sequence q on q.id = v.sequence_id
       where e.subscriber_id = $1 and e.status = 'active' and v.id = e.version_id
         and ($2::text is null or v.definition->'exitOn' ? $2::text) and ($5::text is null or q.funnel_key = $5)
       returning e.id`,
      [subscriberId, productKey, reason, now, funnelKey],
    );
    return rows.map(({ id }) => id);
  }
}
