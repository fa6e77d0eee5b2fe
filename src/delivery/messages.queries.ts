import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { ClaimedMessage, PlannedMessage } from './message.js';

export interface Settlement {
  id: string;
  epoch: number;
  state: 'ready' | 'accepted' | 'rejected' | 'unknown' | 'expired';
  reason: string | null;
  dueAt: Date | null;
  code: number | null;
  reply: string | null;
  stage: string;
  /** On the application's clock; null unless accepted. */
  acceptedAt: Date | null;
}

export interface MessageRow {
  id: string;
  kind: string;
  class: string;
  state: string;
  stateReason: string | null;
  subscriberId: string | null;
  funnelKey: string | null;
  stepKey: string | null;
  template: string;
  messageId: string;
  attempts: number;
  dueAt: Date;
  acceptedAt: Date | null;
  createdAt: Date;
}

export interface PlannedRow extends PlannedMessage {
  messageIdHeader: string;
}

/**
 * The SQL of the send ledger. Due times are compared with the application's clock, which tests and demo mode move;
 * leases run on the database's, which no host can turn back.
 */
@Injectable()
export class MessagesQueries {
  constructor(private readonly dataSource: DataSource) {}

  /** One statement for any number of rows. A row whose `dedupe_key` is there already is left as it is. */
  async insert(
    manager: EntityManager,
    rows: PlannedRow[],
    now: Date,
  ): Promise<{ id: string; dedupeKey: string }[]> {
    return manager.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, enrollment_id, step_key, email_template_id,
         data, sender, address, address_hash, message_id_header, due_at, expires_at, priority, created_at)
       select r."dedupeKey", r.class, r.kind, r."subscriberId", r."funnelKey", r."enrollmentId", r."stepKey", r."templateId",
         r.data, r.sender, r.address, decode(r."addressHash", 'hex'), r."messageIdHeader", r."dueAt", r."expiresAt", r.priority, $2
       from jsonb_to_recordset($1::jsonb) as r ("dedupeKey" text, class text, kind text, "subscriberId" bigint, "funnelKey" text,
         "enrollmentId" bigint, "stepKey" text, "templateId" bigint, data jsonb, sender jsonb, address text, "addressHash" text,
         "messageIdHeader" text, "dueAt" timestamptz, "expiresAt" timestamptz, priority smallint)
       on conflict (dedupe_key) do nothing
       returning id, dedupe_key as "dedupeKey"`,
      [
        JSON.stringify(
          rows.map((row) => ({
            ...row,
            addressHash: row.addressHash.toString('hex'),
            priority: row.priority ?? 5,
          })),
        ),
        now,
      ],
    );
  }

  /**
   * Called by delivery.send-due. Takes at most `limit` due rows and commits at once: a row lock held across SMTP would
   * stall every other worker. SKIP LOCKED gives two workers disjoint rows. Served by `message_ready`.
   */
  async claim(owner: string, limit: number, now: Date): Promise<ClaimedMessage[]> {
    return this.dataSource.query(
      `with due as (
         select id from message where state = 'ready' and lane_key = 'default' and due_at <= $3
         order by priority, due_at, id limit $2 for update skip locked),
       taken as (
         update message m set state = 'leased', lease_owner = $1, lease_epoch = lease_epoch + 1, attempt = attempt + 1,
           lease_until = clock_timestamp() + interval '5 minutes'
         from due where m.id = due.id returning m.*)
       select t.id, t.lease_epoch as epoch, t.attempt, t.class, t.kind, t.address, t.message_id_header as "messageIdHeader",
         t.sender, t.data, t.funnel_key as "funnelKey", f.title as "funnelTitle", t.step_key as "stepKey",
         t.subscriber_id as "subscriberId", s.name as "subscriberName", coalesce(s.tracking_consent, false) as "trackingConsent",
         t.email_template_id as "templateId", t.created_at as "createdAt"
       from taken t left join subscriber s on s.id = t.subscriber_id left join funnel f on f.key = t.funnel_key
       order by t.priority, t.due_at, t.id`,
      [owner, limit, now],
    );
  }

  /**
   * The barrier: called after the relay's 354, before the first byte of the body. Consent, suppression and cancellation
   * are looked at here, at the last possible moment. False: not one byte of the body may be sent.
   */
  async enterData(id: string, epoch: number): Promise<boolean> {
    const [rows]: [unknown[], number] = await this.dataSource.query(
      `update message m set state = 'in_data', data_at = clock_timestamp()
       where m.id = $1 and m.lease_epoch = $2 and m.state = 'leased' and m.lease_until > clock_timestamp() + interval '1 second'
         and (m.class = 'transactional' or exists (select 1 from subscriber s where s.id = m.subscriber_id and s.status = 'active'))
         and not exists (select 1 from suppression x where x.email_hash = m.address_hash
           and (x.scope = 'all' or m.class = 'marketing'))
       returning m.id`,
      [id, epoch],
    );
    return rows.length === 1;
  }

  /** Why the barrier held the message back; fenced, so a lost lease changes nothing. */
  async settleHeld(id: string, epoch: number): Promise<void> {
    await this.dataSource.query(
      `update message m set settled_at = clock_timestamp(), lease_until = null, state = 'suppressed',
         state_reason = case when exists (select 1 from suppression x where x.email_hash = m.address_hash) then 'suppression list'
                             else 'subscriber is not active' end
       where m.id = $1 and m.lease_epoch = $2 and m.state = 'leased' and m.lease_until > clock_timestamp()`,
      [id, epoch],
    );
  }

  /** Fenced by the lease's epoch: a worker that comes back late cannot undo what happened since. */
  async settle(s: Settlement): Promise<void> {
    await this.dataSource.query(
      `with settled as (
         update message set state = $3, state_reason = $4, due_at = coalesce($5, due_at), reply_code = $6, reply_text = $7,
           lease_until = null, settled_at = case when $3 = 'ready' then null else clock_timestamp() end,
           accepted_at = case when $3 = 'accepted' then $9 else accepted_at end
         where id = $1 and lease_epoch = $2 and state in ('leased', 'in_data') returning id)
       insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome, reply_code, reply_text)
       select $1, $2, clock_timestamp(), clock_timestamp(), $8, $3, $6, $7 from settled on conflict do nothing`,
      [s.id, s.epoch, s.state, s.reason, s.dueAt, s.code, s.reply, s.stage, s.acceptedAt],
    );
  }

  /**
   * What a worker left behind when it died. Before the body began, the mail was not sent and goes back; after, it may
   * have been taken: it is unknown, shown, and not sent again.
   */
  async reap(): Promise<{ returned: number; unknown: number }> {
    const [, returned]: [unknown[], number] = await this.dataSource.query(
      `update message set state = 'ready', lease_owner = null, lease_until = null
       where state = 'leased' and lease_until < clock_timestamp()`,
    );
    const [, unknown]: [unknown[], number] = await this.dataSource.query(
      `update message set state = 'unknown', state_reason = 'the worker ended while the body was being sent',
         lease_until = null, settled_at = clock_timestamp()
       where state = 'in_data' and lease_until < clock_timestamp()`,
    );
    return { returned, unknown };
  }

  async cancelForEnrollments(
    manager: EntityManager,
    enrollmentIds: readonly string[],
    reason: string,
  ): Promise<void> {
    await manager.query(
      `update message set state = 'cancelled', state_reason = $2, lease_until = null, settled_at = clock_timestamp()
       where enrollment_id = any($1::bigint[]) and state in ('ready', 'leased')`,
      [enrollmentIds, reason],
    );
  }

  /** Keeps the hash of the address: a mail in flight still meets the suppression at the barrier. */
  async forget(manager: EntityManager, subscriberId: string): Promise<void> {
    await manager.query(
      `with forgotten as (
         update message set address = 'erased', data = '{}', reply_text = null,
           state_reason = case when state in ('ready', 'leased') then 'erased' else state_reason end,
           settled_at = case when state in ('ready', 'leased') then clock_timestamp() else settled_at end,
           lease_until = case when state = 'leased' then null else lease_until end,
           state = case when state in ('ready', 'leased') then 'cancelled' else state end
         where subscriber_id = $1 returning id)
       update message_attempt set reply_text = null where message_id in (select id from forgotten)`,
      [subscriberId],
    );
  }

  /** When the earliest message that waits is due; null when none waits. */
  async nextDueAt(): Promise<Date | null> {
    const rows: { at: Date | null }[] = await this.dataSource.query(
      `select min(due_at) as at from message where state = 'ready'`,
    );
    return rows[0]?.at ?? null;
  }

  /** Newest first. */
  async list(filter: {
    id?: string;
    subscriberId?: string | undefined;
    beforeId?: string | undefined;
    limit: number;
  }): Promise<MessageRow[]> {
    return this.dataSource.query(
      `select m.id, m.kind, m.class, m.state, m.state_reason as "stateReason", m.subscriber_id as "subscriberId",
         m.funnel_key as "funnelKey", m.step_key as "stepKey", t.key as template, m.message_id_header as "messageId",
         m.attempt as attempts, m.due_at as "dueAt", m.accepted_at as "acceptedAt", m.created_at as "createdAt"
       from message m join email_template t on t.id = m.email_template_id
       where ($1::bigint is null or m.id = $1) and ($2::bigint is null or m.subscriber_id = $2) and ($3::bigint is null or m.id < $3)
       order by m.id desc limit $4`,
      [filter.id ?? null, filter.subscriberId ?? null, filter.beforeId ?? null, filter.limit],
    );
  }
}
