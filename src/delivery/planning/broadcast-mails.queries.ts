import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { Wake } from '../../infra/jobs/wake.js';
import { HELD_OUT } from '../../segments/held-out.js';
import type { MailTimes } from '../message/mail-batch.js';
import { SHOWN_STATE, withoutSending } from '../message/message.js';
import { BROADCAST_CANCELLED, BROADCAST_PAUSED, WAITS_FOR_TEST } from '../message/state-reasons.js';
import { SEND_DUE } from '../ledger/send-due.js';
import { resendOfBroadcast } from '../ledger/unknown-mails.queries.js';

interface BroadcastMailCount {
  broadcastId: string;
  state: string;
  count: number;
}

/** A mail that gets other words than it was written with; `data`: what they print, null where that stays as it is. */
interface WordsOfMail {
  id: string;
  data: Record<string, unknown> | null;
}

/** The ledger's rows of a broadcast, as a whole. */
@Injectable()
export class BroadcastMailsQueries {
  constructor(
    private readonly dataSource: DataSource,
    private readonly wake: Wake,
  ) {}

  /**
   * Counted from the rows each time, so no crash can make it wrong. Who is held out of a split test stands by themselves:
   * nobody held their mail back. Served by `message_broadcast_mailbox`.
   */
  async counts(broadcastIds: readonly string[]): Promise<BroadcastMailCount[]> {
    return this.dataSource.query(
      `select m.broadcast_id as "broadcastId",
         case when m.state = 'suppressed' and m.state_reason = $2 then 'held_out' else ${SHOWN_STATE} end as state, count(*)::int as count
       from message m where m.broadcast_id = any ($1::bigint[]) group by 1, 2`,
      [broadcastIds, HELD_OUT],
    );
  }

  /**
   * Called for a cancelled broadcast until nothing is left; returns how many were cancelled now. What is leased goes by
   * the barrier, which reads the broadcast's state. Served by `message_broadcast_open`.
   */
  async cancel(broadcastId: string, limit: number): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `update message m set state = ${withoutSending(`'cancelled'`)}, state_reason = '${BROADCAST_CANCELLED}', settled_at = clock_timestamp()
       where m.id in (select id from message where broadcast_id = $1 and state in ('ready', 'held') limit $2 for update skip locked)`,
      [broadcastId, limit],
    );
    return count;
  }

  /** Whether a mail of it went, or may have, with this version of the words. Served by `message_broadcast_mailbox`. */
  async anyWith(manager: EntityManager, broadcastId: string, templateId: string): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `select 1 from message where broadcast_id = $1 and email_template_id = $2 and state in ('accepted', 'unknown') limit 1`,
      [broadcastId, templateId],
    );
    return rows.length === 1;
  }

  /**
   * Mails that still wait for their first try: for a limit, the frequency cap, an hour, a split test or the owner's word. Not
   * those that a receiver puts off. Served by `message_broadcast_open` and the primary key of `message_attempt`.
   */
  async neverTried(manager: EntityManager, broadcastId: string): Promise<number> {
    const rows: { count: number }[] = await manager.query(
      `select count(*)::int as count from message m where m.broadcast_id = $1 and m.state in ('ready', 'held', 'leased')
         and not exists (select from message_attempt a where a.message_id = m.id)`,
      [broadcastId],
    );
    return rows[0]?.count ?? 0;
  }

  /** As `resendOfBroadcast`; they go at once. */
  async resendUnknown(manager: EntityManager, broadcastId: string, now: Date): Promise<number> {
    const count = await resendOfBroadcast(manager, broadcastId, now);
    if (count > 0) await this.wake.notify(manager, SEND_DUE);
    return count;
  }

  /**
   * Mails that wait for the result of a split test, with their readers' zones. Locks them. Served by
   * `message_broadcast_open`.
   */
  async waitingForTest(
    manager: EntityManager,
    broadcastId: string,
    limit: number,
  ): Promise<{ id: string; subscriberId: string | null; dueAt: Date; timeZone: string | null }[]> {
    return manager.query(
      `select m.id, m.subscriber_id as "subscriberId", m.due_at as "dueAt", (select s.time_zone from subscriber s where s.id = m.subscriber_id) as "timeZone"
       from message m where m.broadcast_id = $1 and m.state = 'held' and m.state_reason = $3
       order by m.id limit $2 for update of m`,
      [broadcastId, limit, WAITS_FOR_TEST],
    );
  }

  /**
   * What waited for the test goes out, with the words that came out of it. By primary key. What the owner of a restored
   * backup wants held keeps the mark of that.
   */
  async giveWinner(
    manager: EntityManager,
    { templateId, mails }: { templateId: string; mails: readonly (WordsOfMail & MailTimes)[] },
  ): Promise<void> {
    if (mails.length === 0) return;
    await manager.query(
      `update message m set state = 'ready', state_reason = null, email_template_id = $1, due_at = w.due_at,
         planned_for = coalesce(m.planned_for, w.planned_for), expires_at = coalesce(w.expires_at, m.expires_at), data = coalesce(w.data, m.data)
       from unnest($2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[])
         as w (id, due_at, planned_for, expires_at, data)
       where m.id = w.id`,
      [
        templateId,
        mails.map(({ id }) => id),
        mails.map(({ dueAt }) => dueAt),
        mails.map(({ plannedFor }) => plannedFor),
        mails.map(({ expiresAt }) => expiresAt),
        mails.map(({ data }) => data && JSON.stringify(data)),
      ],
    );
    await this.wake.notify(manager, SEND_DUE);
  }

  /**
   * Mails of these arms of a test of which nothing has left yet, with their readers' zones. Of one that may have been taken
   * already nobody gets another mail. Locks them; what a worker holds is left to it. Called every few seconds while an arm is stopped. Served by
   * `message_broadcast_arm`: found first, since for their order PostgreSQL would read the whole ledger by its primary key.
   */
  async waitingOfArms(
    manager: EntityManager,
    broadcastId: string,
    { arms, limit }: { arms: readonly number[]; limit: number },
  ): Promise<{ id: string; arm: number; subscriberId: string; dueAt: Date; timeZone: string | null }[]> {
    return manager.query(
      `with left_over as materialized (
         select id from message where broadcast_id = $1 and state in ('ready', 'held') and arm = any ($2::smallint[])
           and subscriber_id is not null and data_at is null and unknown_count = 0)
       select m.id, m.arm, m.subscriber_id as "subscriberId", m.due_at as "dueAt",
         (select s.time_zone from subscriber s where s.id = m.subscriber_id) as "timeZone"
       from message m where m.id in (select id from left_over limit $3) and m.state in ('ready', 'held') and m.arm = any ($2::smallint[])
         and m.data_at is null and m.unknown_count = 0
       order by m.id for update of m skip locked`,
      [broadcastId, arms, limit],
    );
  }

  /**
   * What waited for an arm that was stopped has the words of another, marked as `arm` says, at its time. By primary key.
   * `due_at` may have come from a clock that is finer than that of JavaScript.
   */
  async giveArms(
    manager: EntityManager,
    mails: readonly (WordsOfMail & { arm: number; templateId: string; dueAt: Date })[],
  ): Promise<void> {
    if (mails.length === 0) return;
    await manager.query(
      `update message m set arm = w.arm, email_template_id = w.template, due_at = w.due_at, data = coalesce(w.data, m.data),
         planned_for = case when w.due_at = date_trunc('milliseconds', m.due_at) then m.planned_for end
       from unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::timestamptz[], $5::jsonb[]) as w (id, arm, template, due_at, data)
       where m.id = w.id`,
      [
        mails.map(({ id }) => id),
        mails.map(({ arm }) => arm),
        mails.map(({ templateId }) => templateId),
        mails.map(({ dueAt }) => dueAt),
        mails.map(({ data }) => data && JSON.stringify(data)),
      ],
    );
  }

  /** When the first of the mails that a pause holds was due; null when it holds none. As `cancel`. */
  async firstHeld(broadcastId: string): Promise<Date | null> {
    const rows: { at: Date | null }[] = await this.dataSource.query(
      `select min(due_at) as at from message where broadcast_id = $1 and state = 'held' and state_reason = $2`,
      [broadcastId, BROADCAST_PAUSED],
    );
    return rows[0]?.at ?? null;
  }

  /** Mails that a pause held, with their readers' zones. Locks them. Served by `message_held` or `message_broadcast_open`. */
  async heldInPause(
    manager: EntityManager,
    broadcastId: string,
    limit: number,
  ): Promise<
    { id: string; arm: number | null; dueAt: Date; expiresAt: Date | null; timeZone: string | null }[]
  > {
    return manager.query(
      `select m.id, m.arm, m.due_at as "dueAt", m.expires_at as "expiresAt",
         (select s.time_zone from subscriber s where s.id = m.subscriber_id) as "timeZone"
       from message m where m.broadcast_id = $1 and m.state = 'held' and m.state_reason = $3
       order by m.id limit $2 for update of m skip locked`,
      [broadcastId, limit, BROADCAST_PAUSED],
    );
  }

  /** As `release`, each at a time of its own, and of use until one. By primary key. */
  async letGo(
    manager: EntityManager,
    mails: readonly { id: string; dueAt: Date; expiresAt: Date | null }[],
    now: Date,
  ): Promise<void> {
    if (mails.length === 0) return;
    await manager.query(
      `update message m set state = 'ready', state_reason = null, due_at = greatest(w.due_at, $3), planned_for = null, expires_at = w.expires_at
       from unnest($1::bigint[], $2::timestamptz[], $4::timestamptz[]) as w (id, due_at, expires_at) where m.id = w.id`,
      [
        mails.map(({ id }) => id),
        mails.map(({ dueAt }) => dueAt),
        now,
        mails.map(({ expiresAt }) => expiresAt),
      ],
    );
  }

  /**
   * Called for a broadcast that goes on after a pause, as `cancel`. Mails held for another reason stay held, those of a
   * restored backup among them. `shiftMs`: how much later they are due, but `marginMs` before they expire. Due from now on:
   * the owner's word is not overdue.
   */
  async release(
    broadcastId: string,
    { limit, shiftMs, marginMs, now }: { limit: number; shiftMs: number; marginMs: number; now: Date },
  ): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `update message set state = 'ready', state_reason = null, planned_for = null,
         due_at = greatest($6, least(due_at + $4 * interval '1 millisecond', case when expires_at is null then 'infinity'::timestamptz
           else greatest(due_at, expires_at - $5 * interval '1 millisecond') end))
       where id in (select id from message where broadcast_id = $1 and state = 'held' and state_reason = $3
         order by due_at limit $2 for update skip locked)`,
      [broadcastId, limit, BROADCAST_PAUSED, shiftMs, marginMs, now],
    );
    return count;
  }
}
