import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Sender } from '../delivery/message.js';

export interface DueEnrollment {
  id: string;
  versionId: string;
  stepKey: string;
  data: Record<string, unknown>;
  clicked: boolean;
  subscriberId: string;
  email: string;
  emailKey: string;
  status: string;
  timeZone: string | null;
  funnelKey: string;
  sender: Sender;
}

export interface EnrollmentUpdate {
  id: string;
  status: 'active' | 'completed' | 'exited';
  exitReason: string | null;
  stepKey: string | null;
  nextAt: Date | null;
  waitsOnStep: string | null;
}

/** The SQL of enrolments: each statement takes a whole batch. */
@Injectable()
export class EnrollmentsQueries {
  /** Brings forward those who wait for a click that has come. Served by `enrollment_waiting`. */
  async noticeClicks(manager: EntityManager, now: Date): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $1 where id in (
         select n.id from enrollment n
         where n.status = 'active' and n.waiting_message_id is not null and n.next_at > $1 and exists (
           select 1 from tracking_event e where e.message_id = n.waiting_message_id and e.kind = 'click' and e.class = 'human')
         for update of n skip locked)`,
      [now],
    );
  }

  /** Locks the rows until the caller's transaction ends; two workers get disjoint ones. Served by `enrollment_due`. */
  async claimDue(manager: EntityManager, now: Date, limit: number): Promise<DueEnrollment[]> {
    return manager.query(
      `with due as materialized (
         select * from enrollment where status = 'active' and next_at <= $1
         order by next_at, id limit $2 for update skip locked)
       select d.id, d.version_id as "versionId", d.step_key as "stepKey", d.data, d.subscriber_id as "subscriberId",
         s.email, s.email_key as "emailKey", s.status, s.time_zone as "timeZone", q.funnel_key as "funnelKey", q.sender,
         exists (select 1 from tracking_event e where e.message_id = d.waiting_message_id and e.kind = 'click' and e.class = 'human') as clicked
       from due d join subscriber s on s.id = d.subscriber_id join sequence q on q.id = d.sequence_id
       order by d.next_at, d.id`,
      [now, limit],
    );
  }

  async update(manager: EntityManager, updates: EnrollmentUpdate[], now: Date): Promise<void> {
    if (updates.length === 0) return;
    await manager.query(
      `update enrollment e set status = u.status, exit_reason = u."exitReason", step_key = u."stepKey", next_at = u."nextAt",
         ended_at = case when u.status = 'active' then null else $2::timestamptz end,
         waiting_message_id = (select m.id from message m where m.enrollment_id = e.id and m.step_key = u."waitsOnStep")
       from jsonb_to_recordset($1::jsonb) as u (id bigint, status text, "exitReason" text, "stepKey" text, "nextAt" timestamptz, "waitsOnStep" text)
       where e.id = u.id`,
      [JSON.stringify(updates), now],
    );
  }

  /** Leaves people where they are until `until`. */
  async postpone(manager: EntityManager, ids: readonly string[], until: Date): Promise<void> {
    if (ids.length === 0) return;
    await manager.query('update enrollment set next_at = $2 where id = any($1::bigint[])', [ids, until]);
  }

  /** What happened, once per step and person: the primary key is the second wall against a step that comes twice. */
  async recordSteps(
    manager: EntityManager,
    steps: { enrollmentId: string; stepKey: string; outcome: string }[],
    now: Date,
  ): Promise<void> {
    if (steps.length === 0) return;
    await manager.query(
      `insert into enrollment_step (enrollment_id, step_key, outcome, message_id, at)
       select r."enrollmentId", r."stepKey", r.outcome,
         (select m.id from message m where m.enrollment_id = r."enrollmentId" and m.step_key = r."stepKey"), $2
       from jsonb_to_recordset($1::jsonb) as r ("enrollmentId" bigint, "stepKey" text, outcome text)
       on conflict do nothing`,
      [JSON.stringify(steps), now],
    );
  }

  async grantOffers(
    manager: EntityManager,
    grants: { enrollmentId: string; subscriberId: string; offerSlug: string; expiresAt: Date | null }[],
    now: Date,
  ): Promise<void> {
    if (grants.length === 0) return;
    await manager.query(
      `insert into enrollment_offer (enrollment_id, offer_slug, subscriber_id, expires_at, created_at)
       select r."enrollmentId", r."offerSlug", r."subscriberId", r."expiresAt", $2
       from jsonb_to_recordset($1::jsonb) as r ("enrollmentId" bigint, "offerSlug" text, "subscriberId" bigint, "expiresAt" timestamptz)
       on conflict do nothing`,
      [JSON.stringify(grants), now],
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
