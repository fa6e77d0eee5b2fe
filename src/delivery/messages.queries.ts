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
  /** False when the relay was never reached: that says nothing about this mail, so no attempt is used up. */
  countsAsAttempt: boolean;
  durationMs: number;
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

/** Who may not be written to at this moment. Read at the claim to spare the relay, and by the barrier, which decides. */
const MAY_BE_SENT = `(m.class = 'transactional'
    or exists (select 1 from subscriber s where s.id = m.subscriber_id and s.status = 'active'))
  and not exists (select 1 from suppression x where x.email_hash = m.address_hash
    and (x.scope = 'all' or m.class = 'marketing'))`;

const WHY_SUPPRESSED = `case when exists (select 1 from suppression x where x.email_hash = m.address_hash
  and (x.scope = 'all' or m.class = 'marketing')) then 'suppression list' else 'subscriber is not active' end`;

const LEASE = `clock_timestamp() + interval '5 minutes'`;

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
   * stall every other worker. SKIP LOCKED gives two workers disjoint rows. What has expired or may not be sent ends
   * here; `taken` counts it too. Served by `message_ready`.
   */
  async claim(
    owner: string,
    limit: number,
    now: Date,
  ): Promise<{ taken: number; messages: ClaimedMessage[] }> {
    const rows: (ClaimedMessage & { state: string })[] = await this.dataSource.query(
      `with due as (
         select m.id, case when m.expires_at <= $3 then 'expired' when ${MAY_BE_SENT} then 'leased' else 'suppressed' end as state,
           ${WHY_SUPPRESSED} as why
         from message m where m.state = 'ready' and m.lane_key = 'default' and m.due_at <= $3
         order by m.priority, m.due_at, m.id limit $2 for update of m skip locked),
       taken as (
         update message m set state = due.state, lease_owner = $1, lease_epoch = lease_epoch + 1, data_at = null,
           attempt = attempt + (due.state = 'leased')::int,
           state_reason = case due.state when 'suppressed' then due.why when 'expired' then 'too late to be sent' else state_reason end,
           settled_at = case when due.state = 'leased' then null else clock_timestamp() end,
           lease_until = case when due.state = 'leased' then ${LEASE} end
         from due where m.id = due.id returning m.*)
       select t.id, t.state, t.lease_epoch as epoch, t.attempt, t.class, t.kind, t.address, t.message_id_header as "messageIdHeader",
         t.sender, t.data, t.funnel_key as "funnelKey", f.title as "funnelTitle", t.step_key as "stepKey",
         t.subscriber_id as "subscriberId", s.name as "subscriberName", coalesce(s.tracking_consent, false) as "trackingConsent",
         t.email_template_id as "templateId", t.created_at as "createdAt"
       from taken t left join subscriber s on s.id = t.subscriber_id left join funnel f on f.key = t.funnel_key
       order by t.priority, t.due_at, t.id`,
      [owner, limit, now],
    );
    return { taken: rows.length, messages: rows.filter(({ state }) => state === 'leased') };
  }

  /** Gives back what was claimed and not begun, as if it had not been claimed. Fenced. */
  async release(claims: readonly Pick<ClaimedMessage, 'id' | 'epoch'>[]): Promise<void> {
    if (claims.length === 0) return;
    await this.dataSource.query(
      `update message m set state = 'ready', lease_owner = null, lease_until = null, attempt = attempt - 1
       from unnest($1::bigint[], $2::int[]) as c (id, epoch)
       where m.id = c.id and m.lease_epoch = c.epoch and m.state = 'leased'`,
      [claims.map(({ id }) => id), claims.map(({ epoch }) => epoch)],
    );
  }

  /**
   * The barrier: called after the relay's 354, before the first byte of the body. Consent, suppression and cancellation
   * are looked at here, at the last possible moment. False: not one byte of the body may be sent. The lease starts anew,
   * so that a mail begun late in its lease is not called unknown while it is on the way.
   */
  async enterData(id: string, epoch: number): Promise<boolean> {
    const [rows]: [unknown[], number] = await this.dataSource.query(
      `update message m set state = 'in_data', data_at = clock_timestamp(), lease_until = ${LEASE}
       where m.id = $1 and m.lease_epoch = $2 and m.state = 'leased' and m.lease_until > clock_timestamp() + interval '1 second'
         and ${MAY_BE_SENT}
       returning m.id`,
      [id, epoch],
    );
    return rows.length === 1;
  }

  /** What the barrier held back: suppressed, or ready again when only the lease was short. Fenced. */
  async settleHeld(id: string, epoch: number): Promise<void> {
    await this.dataSource.query(
      `update message m set lease_until = null, state = case when h.may then 'ready' else 'suppressed' end,
         state_reason = case when h.may then state_reason else h.why end,
         settled_at = case when h.may then null else clock_timestamp() end
       from (select m.id, ${MAY_BE_SENT} as may, ${WHY_SUPPRESSED} as why from message m where m.id = $1) h
       where m.id = h.id and m.lease_epoch = $2 and m.state = 'leased'`,
      [id, epoch],
    );
  }

  /**
   * Fenced by the lease's epoch: a worker that comes back late cannot undo what happened since. It may still say what
   * became of a mail the reaper has called unknown meanwhile: nobody else has had that one.
   */
  async settle(s: Settlement): Promise<void> {
    await this.dataSource.query(
      `with settled as (
         update message set state = $3, state_reason = $4, due_at = coalesce($5, due_at), reply_code = $6, reply_text = $7,
           lease_until = null, settled_at = case when $3 = 'ready' then null else clock_timestamp() end,
           accepted_at = case when $3 = 'accepted' then $9 else accepted_at end, attempt = attempt - $10::int
         where id = $1 and lease_epoch = $2 and state in ('leased', 'in_data', 'unknown') returning id)
       insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome, reply_code, reply_text)
       select $1, $2, clock_timestamp() - $11 * interval '1 millisecond', clock_timestamp(), $8, $3, $6, $7
       from settled on conflict do nothing`,
      [
        s.id,
        s.epoch,
        s.state,
        s.reason,
        s.dueAt,
        s.code,
        s.reply,
        s.stage,
        s.acceptedAt,
        s.countsAsAttempt ? 0 : 1,
        s.durationMs,
      ],
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

  /**
   * Keeps the hash of the address: a mail in flight still meets the suppression at the barrier. Lets go of person and
   * enrollment by itself: PostgreSQL checks a row that was changed in this transaction again while it cascades, and
   * would find the enrollment gone already.
   */
  async forget(manager: EntityManager, subscriberId: string): Promise<void> {
    await manager.query(
      `with forgotten as (
         update message set address = 'erased', data = '{}', reply_text = null, subscriber_id = null, enrollment_id = null,
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
