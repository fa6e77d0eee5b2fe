import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { LATER_WENT } from '../ledger/later-mails.queries.js';
import { armOfReader } from '../message/arm-of-reader.js';
import { withoutSending } from '../message/message.js';
import {
  CANCELLED_BY_OWNER,
  LATER_STEP_WENT,
  NOT_FOR_OWNER,
  ON_SUPPRESSION_LIST,
  SEQUENCE_PAUSED,
  UNFIT_REASONS,
} from '../message/state-reasons.js';
import { HELD_TOO_LONG } from '../message/expiry.js';
import { OVERDUE, RESTORED } from '../message/overdue.js';
import { SENDER_REFUSALS } from '../replies/sender-refusal.js';
import { PROMISED_UNTIL } from './lengthened-promises.queries.js';

export interface HeldFilter {
  /** As it stands in `state_reason`. */
  reason?: string | undefined;
  broadcastId?: string | undefined;
}

export interface HeldCount {
  reason: string;
  broadcastId: string | null;
  count: number;
}

export interface PausedBroadcast {
  id: string;
  title: string;
  reason: string;
}

/** The mails that are held for one reason when somebody decides about them, and may be again by the time that they are changed. */
export interface HeldPart extends Pick<HeldFilter, 'broadcastId'> {
  reason: string | null;
  /** The newest of them. */
  untilId: string;
}

export interface HeldBatch {
  count: number;
  /** The last of them: the next batch begins after it. Null: there are no more. */
  lastId: string | null;
}

interface Changing {
  afterId: string;
  fate: string;
  counted: 'ready' | 'cancelled';
  set: string;
  parameter: unknown;
}

const FOR_OWNER = `(state_reason is null or state_reason not in (${listed(NOT_FOR_OWNER)}))`;
/** In SQL, of the reader of mail `m` in the test of its step in sequence `q`. */
export const ARM_OF_READER = armOfReader({
  test: `q.key || '/' || m.step_key`,
  subscriberId: 'm.subscriber_id',
  enrollmentId: 'm.enrollment_id',
});
/**
 * The words of a sequence's step as they are since its owner has mended them; null for other mails. Where its mails are
 * tested, those of the reader's arm, and of the step where that arm is there no more.
 */
const WORDS_OF_NOW = `(select coalesce(
    (select (own.arm ->> 'templateId')::bigint from jsonb_array_elements(n.node #> '{split,arms}') as own (arm)
      where own.arm ->> 'key' = ${ARM_OF_READER}),
    (n.node ->> 'templateId')::bigint)
  from sequence q join sequence_version v on v.id = q.current_version_id
    cross join lateral jsonb_array_elements(v.definition -> 'nodes') as n (node)
  where q.funnel_key = m.funnel_key and m.enrollment_id is not null and n.node ->> 'key' = m.step_key limit 1)`;

/** Held while later steps went on, by the time at which they were to go or by what was refused of them. */
const LATE_REASONS: readonly string[] = [OVERDUE, RESTORED, ...SENDER_REFUSALS];

/** So many rows in one transaction: others wait for none of them for long, and a restart loses little. */
const BATCH = 5_000;

/** The SQL of mails that wait for the owner's decision: what waits for a reader or for a split test is not theirs to decide. Served by `message_held` and `message_unknown`. */
@Injectable()
export class HeldQueries {
  constructor(private readonly dataSource: DataSource) {}

  async counts(): Promise<HeldCount[]> {
    return this.dataSource.query(
      `select coalesce(state_reason, '') as reason, broadcast_id as "broadcastId", count(*)::float8 as count
       from message where state = 'held' and ${FOR_OWNER} group by 1, 2 order by count(*) desc limit 200`,
    );
  }

  /** Those of one broadcast. Served by `message_broadcast_mailbox`. */
  async countOf(broadcastId: string): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::float8 as count from message where broadcast_id = $1 and state = 'held' and ${FOR_OWNER}`,
      [broadcastId],
    );
    return rows[0]?.count ?? 0;
  }

  /** Broadcasts that wait for the owner's word, whoever paused them. They belong to a later module, and are read as data. Served by `broadcast_open`. */
  async pausedBroadcasts(): Promise<PausedBroadcast[]> {
    return this.dataSource.query(
      `select id, title, coalesce(state_reason, '') as reason from broadcast where state = 'paused' order by id desc limit 200`,
    );
  }

  /** Those of the reasons for which mails wait, few or many. Served by `message_held`. */
  async waitingFor(reasons: readonly string[]): Promise<Set<string>> {
    const rows: { reason: string }[] = await this.dataSource.query(
      `select r.reason from unnest($1::text[]) as r (reason)
       where (select true from message where state = 'held' and state_reason = r.reason limit 1)`,
      [reasons],
    );
    return new Set(rows.map(({ reason }) => reason));
  }

  async unknownCount(): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::float8 as count from message where state = 'unknown'`,
    );
    return rows[0]?.count ?? 0;
  }

  /** What is held now and matches. */
  async parts({ reason, broadcastId }: HeldFilter): Promise<HeldPart[]> {
    const parts: Pick<HeldPart, 'reason' | 'untilId'>[] = await this.dataSource.query(
      `select state_reason as reason, max(id) as "untilId" from message where state = 'held' and ${FOR_OWNER}
         and ($1::text is null or state_reason = $1) and ($2::bigint is null or broadcast_id = $2) group by 1 order by 1`,
      [reason ?? null, broadcastId ?? null],
    );
    return parts.map((part) => ({ ...part, broadcastId }));
  }

  /**
   * What is unfit leaves with the words of its step as they are now. Ready and due from now on: it must not be taken for overdue
   * once more. A step that was late does not come behind the next ones, which have gone meanwhile, and what is of no use any more ends.
   */
  async release(manager: EntityManager, part: HeldPart, afterId: string, now: Date): Promise<HeldBatch> {
    return this.change(manager, part, {
      afterId,
      fate: `case when m.expires_at <= $6 then 'expired' when m.state_reason in (${listed(LATE_REASONS)}) and ${LATER_WENT} then 'cancelled' else 'ready' end`,
      set: `state = ${withoutSending('h.fate')}, state_reason = case h.fate when 'cancelled' then '${LATER_STEP_WENT}' when 'expired' then ${HELD_TOO_LONG} end,
        settled_at = case when h.fate <> 'ready' then clock_timestamp() end,
        due_at = case when h.fate = 'ready' then greatest(m.due_at, $6) else m.due_at end,
        planned_for = case when h.fate <> 'ready' then m.planned_for end,
        email_template_id = case when m.state_reason in (${listed(UNFIT_REASONS)}) then coalesce(${WORDS_OF_NOW}, m.email_template_id) else m.email_template_id end`,
      counted: 'ready',
      parameter: now,
    });
  }

  async cancel(manager: EntityManager, part: HeldPart, afterId: string): Promise<HeldBatch> {
    return this.change(manager, part, {
      afterId,
      fate: `'cancelled'`,
      set: `state = ${withoutSending('h.fate')}, state_reason = coalesce(m.state_reason || ', ', '') || $6::text, settled_at = clock_timestamp()`,
      counted: 'cancelled',
      parameter: CANCELLED_BY_OWNER,
    });
  }

  /**
   * Of what is held because of the sender, the next that could not go any more if it were sent: no mail of its class goes to
   * the address. Locks them, and leaves those that are being changed. Served by `message_held` and the key of `suppression`.
   */
  async endSuppressed(manager: EntityManager): Promise<number> {
    const [, count]: [unknown[], number] = await manager.query(
      `update message m set state = ${withoutSending(`'suppressed'`)}, state_reason = $1, settled_at = clock_timestamp()
       from (select h.id from message h where h.state = 'held' and h.state_reason = any($2::text[])
           and (select true from suppression x where x.email_hash = h.address_hash
             and (x.scope = 'all' or h.class = 'marketing') limit 1)
         order by h.id limit $3 for update of h skip locked) h
       where m.id = h.id`,
      [ON_SUPPRESSION_LIST, SENDER_REFUSALS, BATCH],
    );
    return count;
  }

  /**
   * The next of those that are of no use any more; not yet a promise in a paused sequence, which may hold as much longer when
   * that goes on. Locks them, and leaves those that are being changed. Reads what is held, by `message_held`.
   */
  async endExpired(manager: EntityManager, now: Date): Promise<number> {
    const [, count]: [unknown[], number] = await manager.query(
      `update message m set state = ${withoutSending(`'expired'`)}, state_reason = ${HELD_TOO_LONG}, settled_at = clock_timestamp()
       from (select m.id from message m where m.state = 'held' and m.expires_at <= $1
           and (m.state_reason = $3 and m.expires_at = ${PROMISED_UNTIL}) is not true
         limit $2 for update of m skip locked) h
       where m.id = h.id`,
      [now, BATCH, SEQUENCE_PAUSED],
    );
    return count;
  }

  /**
   * The next of them by their ids. Locks them, and leaves those that are being changed. `fate`: what is to become of a mail `m`,
   * `counted`: which of them are told of.
   */
  private async change(
    manager: EntityManager,
    { reason, untilId, broadcastId }: HeldPart,
    { afterId, fate, counted, set, parameter }: Changing,
  ): Promise<HeldBatch> {
    const rows: HeldBatch[] = await manager.query(
      `with h as (
         select m.id, ${fate} as fate from message m
         where m.state = 'held' and (m.state_reason = $1 or $1::text is null and m.state_reason is null)
           and ($2::bigint is null or m.broadcast_id = $2) and m.id > $3 and m.id <= $4 order by m.id limit $5 for update skip locked),
       changed as (update message m set ${set} from h where m.id = h.id)
       select (count(*) filter (where fate = $7))::int as count, max(id) as "lastId" from h`,
      [reason, broadcastId ?? null, afterId, untilId, BATCH, parameter, counted],
    );
    return rows[0] ?? { count: 0, lastId: null };
  }
}

function listed(reasons: readonly string[]): string {
  return reasons.map((reason) => `'${reason}'`).join(', ');
}
