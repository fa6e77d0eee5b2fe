import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { arrayLiteral } from '../infra/database/array-literal.js';
import type { MailColumns, MailTimes } from './mail-batch.js';
import type { NumberedMail } from './send-hours.service.js';

/** Advisory lock: shared by each batch of a broadcast, exclusive to an erasure. */
export const PLANNING_LOCK = 7_311_402_617;

/** The SQL that plans thousands of mails at once. */
@Injectable()
export class PlanningQueries {
  /** The groups of those domains that were found by their MX. */
  async groupsByMx(manager: EntityManager, domains: readonly string[]): Promise<Map<string, string>> {
    if (domains.length === 0) return new Map();
    const rows: { domain: string; group: string }[] = await manager.query(
      'select domain, group_key as "group" from mail_domain where domain = any ($1::text[])',
      [arrayLiteral(domains)],
    );
    return new Map(rows.map(({ domain, group }) => [domain, group]));
  }

  /**
   * Called for each batch of a sequence or a broadcast, in the transaction that moves its pointer or cursor. Adds what is
   * not there yet, by dedupe key and by broadcast and mailbox, and returns how many that were. Columns travel as arrays:
   * reading the rows from JSON cost more than all their index entries. Written in their order, as two steps of a person may
   * be due at one moment, and the earlier one goes first. Who was erased since they were read is left out.
   * Locking each subscriber instead would double the cost; so it is the erasure that waits for the enrollment or the
   * planning lock that the caller holds (`MessagesQueries.forget`).
   */
  async insertBatch(
    manager: EntityManager,
    {
      shared,
      columns,
      laneKeys,
      now,
    }: {
      shared: readonly NumberedMail[];
      columns: MailColumns;
      laneKeys: readonly string[];
      now: Date;
    },
  ): Promise<number> {
    const rows: { count: number }[] = await manager.query(
      `with added as (
         insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, enrollment_id, step_key, broadcast_id,
           email_template_id, data, sender, address, address_hash, message_id_header, due_at, expires_at, planned_for, priority,
           lane_key, created_at, arm, state, state_reason, send_hours_id)
         select r.dedupe_key, s.class, s.kind, r.subscriber_id, s."funnelKey", r.enrollment_id, s."stepKey", s."broadcastId",
           s."templateId", s.data, s.sender, r.address, decode(r.hash, 'hex'), r.message_id, coalesce(r.due_at, s."dueAt"),
           coalesce(r.expires_at, s."expiresAt"), r.planned_for, coalesce(s.priority, 5), r.lane_key, $10,
           s.arm, case when s."heldFor" is null then 'ready' else 'held' end, s."heldFor", s."sendHoursId"
         from unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
             $11::timestamptz[], $12::timestamptz[], $13::timestamptz[])
           with ordinality as r (shared, dedupe_key, subscriber_id, enrollment_id, address, hash, message_id, lane_key, due_at,
             expires_at, planned_for, nth)
         join jsonb_to_recordset($9::jsonb) as s (place int, class text, kind text, "funnelKey" text, "stepKey" text,
           "broadcastId" bigint, "templateId" bigint, data jsonb, sender jsonb, "dueAt" timestamptz, "expiresAt" timestamptz,
           priority smallint, arm smallint, "heldFor" text, "sendHoursId" int)
           on s.place = r.shared
         where exists (select 1 from subscriber p where p.id = r.subscriber_id) order by r.nth
         on conflict do nothing returning 1)
       select count(*)::int from added`,
      [
        arrayLiteral(columns.shared),
        arrayLiteral(columns.dedupeKeys),
        arrayLiteral(columns.subscriberIds),
        arrayLiteral(columns.enrollmentIds),
        arrayLiteral(columns.addresses),
        arrayLiteral(columns.addressHashes),
        arrayLiteral(columns.messageIdHeaders),
        arrayLiteral(laneKeys),
        JSON.stringify(shared.map((mail, place) => ({ ...mail, place }))),
        now,
        timesLiteral(columns, ({ dueAt }) => dueAt),
        timesLiteral(columns, ({ expiresAt }) => expiresAt),
        timesLiteral(columns, ({ plannedFor }) => plannedFor),
      ],
    );
    return rows[0]?.count ?? 0;
  }
}

/** Null for a batch whose mails have no times of their own: PostgreSQL fills it up with nulls, and nothing crosses to it. */
function timesLiteral({ times }: MailColumns, of: (times: MailTimes) => Date | null): string | null {
  if (times === null) return null;
  return arrayLiteral(times.map((one) => (one === null ? null : (of(one)?.toISOString() ?? null))));
}
