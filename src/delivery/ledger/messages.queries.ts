import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import {
  MAY_GO_YET,
  NOT_BEGUN,
  SHOWN_STATE,
  priorityOf,
  withoutSending,
  type MessageState,
  type PlannedMessage,
} from '../message/message.js';
import { WORDS_OF_MAIL } from '../message/words-of-mail.js';
import { letGo } from '../message/expiry.js';
import { PAUSED_BY_READER } from '../message/state-reasons.js';
import { LOCKS } from '../../infra/database/advisory-locks.js';
import { ERASED } from '../../subscribers/erased.js';
import { countAnew } from './counted-anew.queries.js';

/** No row is behind it. */
const MAX_ID = '9223372036854775807';

export interface MessageRow {
  id: string;
  kind: string;
  class: string;
  state: string;
  stateReason: string | null;
  subscriberId: string | null;
  broadcastId: string | null;
  funnelKey: string | null;
  stepKey: string | null;
  template: string;
  messageId: string;
  attempts: number;
  dueAt: Date;
  acceptedAt: Date | null;
  createdAt: Date;
}

/** As in the index `message_unsent`. */
const UNSENT: readonly MessageState[] = ['held', 'rejected', 'suppressed', 'expired', 'cancelled'];

/** Which template a mail goes with. */
export interface RewrittenMail {
  id: string;
  templateId: string;
}

interface PlannedRow extends PlannedMessage {
  messageIdHeader: string;
  queueKey: string;
}

/** Planning, cancelling and listing messages; sending them is in `ledger.queries`. */
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
         data, sender, address, address_hash, message_id_header, due_at, expires_at, priority, created_at, lane_key)
       select r."dedupeKey", r.class, r.kind, r."subscriberId", r."funnelKey", r."enrollmentId", r."stepKey", r."templateId",
         r.data, r.sender, r.address, decode(r."addressHash", 'hex'), r."messageIdHeader", r."dueAt", r."expiresAt", r.priority, $2, r."queueKey"
       from jsonb_to_recordset($1::jsonb) as r ("dedupeKey" text, class text, kind text, "subscriberId" bigint, "funnelKey" text,
         "enrollmentId" bigint, "stepKey" text, "templateId" bigint, data jsonb, sender jsonb, address text, "addressHash" text,
         "messageIdHeader" text, "dueAt" timestamptz, "expiresAt" timestamptz, priority smallint, "queueKey" text)
       on conflict (dedupe_key) do nothing
       returning id, dedupe_key as "dedupeKey"`,
      [
        JSON.stringify(
          rows.map((row) => ({
            ...row,
            addressHash: row.addressHash.toString('hex'),
            priority: priorityOf(row),
          })),
        ),
        now,
      ],
    );
  }

  async cancelForEnrollments(
    manager: EntityManager,
    enrollmentIds: readonly string[],
    reason: string,
  ): Promise<void> {
    const ofThese = `enrollment e join message m on m.subscriber_id = e.subscriber_id and m.enrollment_id = e.id
       where e.id = any($1::bigint[])`;
    await this.cancelWaiting(manager, { from: ofThese, values: enrollmentIds, reason });
  }

  async cancelPlanned(manager: EntityManager, dedupeKeys: readonly string[], reason: string): Promise<void> {
    const from = 'message m where m.dedupe_key = any($1::text[])';
    await this.cancelWaiting(manager, { from, values: dedupeKeys, reason });
  }

  /** Those of these mails that wait still go with other words. In one order, as `cancelWaiting`. */
  async rewrite(manager: EntityManager, mails: readonly RewrittenMail[]): Promise<void> {
    await manager.query(
      `update message m set email_template_id = w.template
       from (select m.id, r.template from unnest($1::bigint[], $2::bigint[]) as r (id, template) join message m on m.id = r.id
         where m.state in ('ready', 'held') order by m.id for update of m) w
       where m.id = w.id`,
      [mails.map(({ id }) => id), mails.map(({ templateId }) => templateId)],
    );
  }

  /**
   * What has not begun is cancelled; of what may be with the relay it is written down that there is no other try. In one
   * order: two of these about the same people would wait for each other.
   */
  private async cancelWaiting(
    manager: EntityManager,
    { from, values, reason }: { from: string; values: readonly string[]; reason: string },
  ): Promise<void> {
    const waiting: { id: string }[] = await manager.query(
      `select m.id from ${from} and ${MAY_GO_YET} order by m.id for update of m`,
      [values],
    );
    if (waiting.length === 0) return;
    await manager.query(
      `update message m set withdrawn = $2, ${ifNotBegun({
        state: withoutSending(`'cancelled'`),
        state_reason: '$2',
        lease_until: 'null',
        settled_at: 'clock_timestamp()',
      })}
       where m.id = any($1::bigint[])`,
      [waiting.map(({ id }) => id), reason],
    );
  }

  /** The next that are held for a reader's pause that is over. Not late: they wanted it so; the steps behind count from now. Served by `message_held`. */
  async releasePaused(manager: EntityManager, now: Date): Promise<number> {
    const held: { id: string; goes: boolean }[] = await manager.query(
      `select p.id, (p.expires_at <= $2) is not true as goes from message p where p.state = 'held' and p.state_reason = $1 and not exists (
         select 1 from subscriber s where s.id = p.subscriber_id and s.paused_until is not null)
       order by p.id limit 5000`,
      [PAUSED_BY_READER, now],
    );
    await countAnew(
      manager,
      held.flatMap(({ id, goes }) => (goes ? id : [])),
      now,
    );
    const [, count]: [unknown[], number] = await manager.query(
      `update message m set ${letGo('$1::timestamptz')}
       from (select p.id from message p where p.id = any($3::bigint[]) and p.state = 'held' and p.state_reason = $2
         order by p.id for update of p skip locked) h
       where m.id = h.id`,
      [now, PAUSED_BY_READER, held.map(({ id }) => id)],
    );
    return count;
  }

  /**
   * Keeps the hash of the address: a mail in flight still meets the suppression at the barrier. Nothing but this takes
   * the ids of person and enrollment out of the ledger; no foreign key does, as it would cost each planned mail.
   */
  async forget(manager: EntityManager, subscriberId: string): Promise<void> {
    // Waits for what is being planned for them at this moment: its mail would not be seen yet.
    await manager.query('select 1 from enrollment where subscriber_id = $1 for update', [subscriberId]);
    await manager.query('select pg_advisory_xact_lock($1)', [LOCKS.planning]);
    await forgetWhere(manager, { condition: 'm.subscriber_id = $1', value: subscriberId });
    // Tests that say what they get. Served by `message_api_data`.
    await forgetWhere(manager, {
      condition: `m.kind = 'api' and m.data <> '{}' and m.data #>> '{test,of}' = $1`,
      value: subscriberId,
    });
  }

  /** Mails that programs have sent to the address while nobody had signed up with it. Served by `message_api_reader`. */
  async adopt(
    manager: EntityManager,
    { subscriberId, addressHash }: { subscriberId: string; addressHash: Buffer },
  ): Promise<void> {
    await manager.query(
      `update message set subscriber_id = $1
       where kind = 'api' and subscriber_id is null and address_hash = $2 and address <> '${ERASED}'`,
      [subscriberId, addressHash],
    );
  }

  /**
   * What programs have given for mails that ended so many days ago, and the address of who is no subscriber: nobody could erase
   * them. Served by `message_api_data`. Returns how many mails it was.
   */
  async forgetData(days: number, limit: number): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const rows: { id: string; isNobodys: boolean }[] = await manager.query(
        `select id, subscriber_id is null as "isNobodys" from message
         where kind = 'api' and data <> '{}' and settled_at < clock_timestamp() - $1 * interval '1 day'
         order by settled_at limit $2 for update skip locked`,
        [days, limit],
      );
      const ids = rows.map(({ id }) => id);
      await manager.query(`update message set data = '{}' where id = any ($1::bigint[])`, [ids]);
      await forgetMails(
        manager,
        rows.filter(({ isNobodys }) => isNobodys).map(({ id }) => id),
      );
      return rows.length;
    });
  }

  /** When the earliest message that waits is due; null when none waits. */
  async nextDueAt(): Promise<Date | null> {
    const rows: { at: Date | null }[] = await this.dataSource.query(
      `select min(due_at) as at from message where state = 'ready'`,
    );
    return rows[0]?.at ?? null;
  }

  /**
   * Newest first. Served by the primary key, `message_subscriber`, `message_broadcast`, `message_funnel`, and of states in which
   * few are by `message_unsent`, `message_unknown` and `message_lease`.
   */
  async list(filter: {
    id?: string;
    subscriberId?: string | undefined;
    broadcastId?: string | undefined;
    funnel?: string | undefined;
    step?: string | undefined;
    state?: MessageState | undefined;
    beforeId?: string | undefined;
    limit: number;
  }): Promise<MessageRow[]> {
    return this.dataSource.query(
      `select m.id, m.kind, m.class, ${SHOWN_STATE} as state, m.state_reason as "stateReason", m.subscriber_id as "subscriberId",
         m.broadcast_id as "broadcastId", m.funnel_key as "funnelKey", m.step_key as "stepKey", t.key as template, m.message_id_header as "messageId",
         m.attempt as attempts, m.due_at as "dueAt", m.accepted_at as "acceptedAt", m.created_at as "createdAt"
       from message m join email_template t on t.id = ${WORDS_OF_MAIL}
       where ($1::bigint is null or m.id = $1) and ($2::bigint is null or m.subscriber_id = $2) and ${isIn(filter.state)} and ${walkOf(filter)} limit $4`,
      [
        ...[filter.id ?? null, filter.subscriberId ?? null, filter.beforeId ?? MAX_ID, filter.limit],
        ...[filter.broadcastId ?? null, filter.funnel ?? null, filter.step ?? null],
      ],
    );
  }
}

/**
 * In SQL, the rest of a list's conditions and its order. Said as a range: of an equal broadcast or step PostgreSQL would
 * walk the primary key, past all that is newer. One person has few mails.
 */
function walkOf({
  subscriberId,
  broadcastId,
  funnel,
  state,
}: {
  subscriberId?: string | undefined;
  broadcastId?: string | undefined;
  funnel?: string | undefined;
  state?: MessageState | undefined;
}): string {
  const ofStep = '($6::text is null or m.funnel_key = $6 and m.step_key = $7::text)';
  if (subscriberId === undefined && broadcastId !== undefined)
    return `m.broadcast_id >= $5 and (m.broadcast_id, m.id) < ($5::bigint, $3::bigint) and ${ofStep}
      order by m.broadcast_id desc, m.id desc`;
  if (subscriberId === undefined && funnel !== undefined)
    return `$5::bigint is null and m.funnel_key >= $6 and (m.funnel_key, m.step_key) >= ($6::text, $7::text)
      and (m.funnel_key, m.step_key, m.id) < ($6::text, $7::text, $3::bigint) order by m.funnel_key desc, m.step_key desc, m.id desc`;
  if (subscriberId === undefined && state !== undefined && UNSENT.includes(state))
    return `$5::bigint is null and ${ofStep} and m.state >= '${state}' and (m.state, m.id) < ('${state}', $3)
      order by m.state desc, m.id desc`;
  return `m.id < $3 and ($5::bigint is null or m.broadcast_id = $5) and ${ofStep} order by m.id desc`;
}

/** In SQL, as `SHOWN_STATE` tells it. Of `UNSENT` as the index says it: with an equal state the primary key would be walked. */
function isIn(state: MessageState | undefined): string {
  if (state === undefined) return 'true';
  if (state === 'in_data') return `m.state = 'leased' and m.data_at is not null`;
  if (state === 'leased') return `m.state = 'leased' and m.data_at is null`;
  if (!UNSENT.includes(state)) return `m.state = '${state}'`;
  return `m.state in (${UNSENT.map((one) => `'${one}'`).join(', ')}) and m.state >= '${state}' and m.state <= '${state}'`;
}

/** In SQL, what is set of a mail `m` that has not begun. */
function ifNotBegun(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([column, value]) => `${column} = case when ${NOT_BEGUN} then ${value} else m.${column} end`)
    .join(', ');
}

/** Takes what is personal out of the mails `m` that meet the condition on `$1`; one that has not begun is not sent. */
async function forgetWhere(
  manager: EntityManager,
  { condition, value }: { condition: string; value: string | readonly string[] },
): Promise<void> {
  const [forgotten]: [{ id: string }[], number] = await manager.query(
    `update message m set address = '${ERASED}', data = '{}', reply_text = null, subscriber_id = null, enrollment_id = null,
       withdrawn = case when ${MAY_GO_YET} then 'erased' else m.withdrawn end, ${ifNotBegun({
         state: withoutSending(`'cancelled'`),
         state_reason: `'erased'`,
         lease_until: 'null',
         settled_at: 'clock_timestamp()',
       })}
     where ${condition} returning id`,
    [value],
  );
  // By itself: it sees the attempt of a mail whose end was written while the statement before waited for that.
  await manager.query('update message_attempt set reply_text = null where message_id = any($1::bigint[])', [
    forgotten.map(({ id }) => id),
  ]);
}

/** As `forget`, of mails to somebody who is no subscriber. */
export async function forgetMails(manager: EntityManager, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await forgetWhere(manager, { condition: 'm.id = any ($1)', value: ids });
}
