import { Injectable } from '@nestjs/common';
import type { PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { pgPool } from '../../infra/database/pg-pool.js';
import type { DuePlace } from '../ledger/due-places.js';
import { duePlaces } from '../ledger/due-places.queries.js';
import { LedgerQueries, type Claim, type ClaimOrder, type Taken } from '../ledger/ledger.queries.js';
import { IS_LEASED } from '../ledger/mail-moment.queries.js';
import type { ClaimedMessage } from '../message/message.js';
import { keptByKeySql } from '../message/overdue.js';
import { FREQUENCY_CAP, OUTSIDE_HOURS } from '../message/state-reasons.js';
import {
  delayed,
  LONGEST_SPAN_MS,
  type FrequencyCap,
  type Delayed,
  type WaitingTurn,
} from '../pacing/frequency-cap.js';
import { FrequencyCapService } from '../pacing/frequency-cap.service.js';
import { SendHours } from '../waiting/send-hours.service.js';
import { LOCKS } from '../../infra/database/advisory-locks.js';

/**
 * Claims mails so that nobody gets more than the owner allows, over all sequences and broadcasts, and none outside of its
 * hours. Without a cap and hours a claim is the ledger's own, with nothing added.
 */
@Injectable()
export class LedgerClaims {
  constructor(
    private readonly dataSource: DataSource,
    private readonly ledger: LedgerQueries,
    private readonly caps: FrequencyCapService,
    private readonly hours: SendHours,
  ) {}

  /** As `duePlaces`. */
  async duePlaces(now: Date, most: number): Promise<DuePlace[]> {
    return duePlaces(pgPool(this.dataSource), now, most);
  }

  /** As `LedgerQueries.witness`. */
  get witness(): LedgerQueries['witness'] {
    return this.ledger.witness;
  }

  /** As `LedgerQueries.release`. */
  async release(claims: readonly Claim[]): Promise<Set<string>> {
    return this.ledger.release(claims);
  }

  /** As `LedgerQueries.releaseLost`. */
  async releaseLost(owners: readonly string[]): Promise<Set<string>> {
    return this.ledger.releaseLost(owners);
  }

  /**
   * As `LedgerQueries.claim`; a mail that has waited until its hours were over is put back until they open, and one that
   * is too many for its reader until it is not.
   */
  async claim(owner: string, order: ClaimOrder): Promise<Taken> {
    const cap = await this.caps.current();
    const isCapped = cap.perDay !== null || cap.perWeek !== null;
    const claimed = isCapped
      ? await this.claimCapped(owner, order, cap)
      : await this.ledger.claim(owner, order);
    try {
      const late = isCapped ? [] : await this.tooLate(pgPool(this.dataSource), claimed.messages, order.now);
      return { ...claimed, messages: without(claimed.messages, late) };
    } catch (error) {
      // Else all of them, receipts among them, would wait for their lease to run out.
      await this.ledger.release(claimed.messages).catch(() => undefined);
      throw error;
    }
  }

  private async claimCapped(owner: string, order: ClaimOrder, cap: FrequencyCap): Promise<Taken> {
    const client = await pgPool(this.dataSource).connect();
    try {
      await client.query('begin');
      // Taken before the claim looks: its snapshot then holds what the claims before it have taken.
      await client.query('select pg_advisory_xact_lock($1)', [LOCKS.frequencyCap]);
      const claimed = await this.ledger.claim(owner, order, client);
      const inTime = without(claimed.messages, await this.tooLate(client, claimed.messages, order.now));
      const later = await this.tooMany(client, inTime, cap, order.now);
      await client.query('commit');
      this.ledger.committed(claimed.messages);
      return { ...claimed, messages: without(inTime, later) };
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  private async tooLate(
    db: Pick<PoolClient, 'query'>,
    messages: readonly ClaimedMessage[],
    now: Date,
  ): Promise<Delayed[]> {
    const closed = await this.hours.closed(messages, now);
    const later = closed.map((mail) => ({ ...mail, reason: OUTSIDE_HOURS }));
    // Before the claimed ones have another time.
    if (later.length > 0 && later.length === messages.length) await putOthersBack(db, later, now);
    await putBack(db, messages, later);
    return later;
  }

  private async tooMany(
    client: Pick<PoolClient, 'query'>,
    messages: readonly ClaimedMessage[],
    cap: FrequencyCap,
    now: Date,
  ): Promise<Delayed[]> {
    const mails = messages.flatMap(({ class: messageClass, subscriberId, expiresAt = null, ...message }) =>
      messageClass === 'marketing' && subscriberId !== null
        ? [{ ...message, subscriberId, expiresAt, hours: this.hours.hoursOf(message) }]
        : [],
    );
    if (mails.length === 0) return [];
    const { rows } = await client.query<WaitingTurn & { subscriberId: string; waits: boolean }>({
      name: 'frequency-sent',
      text: SENT,
      values: [
        [...new Set(mails.map(({ subscriberId }) => subscriberId))],
        mails.map(({ id }) => id),
        new Date(now.getTime() - LONGEST_SPAN_MS),
        now,
      ],
    });
    const [sent, waiting] = [new Map<string, Date[]>(), new Map<string, WaitingTurn[]>()];
    for (const { subscriberId, waits, ...turn } of rows)
      if (waits) waiting.set(subscriberId, [...(waiting.get(subscriberId) ?? []), turn]);
      else sent.set(subscriberId, [...(sent.get(subscriberId) ?? []), turn.at]);
    const later = delayed(mails, { sent, waiting }, cap, now);
    await putBack(client, messages, later);
    return later;
  }
}

function without(messages: ClaimedMessage[], later: readonly Pick<ClaimedMessage, 'id'>[]): ClaimedMessage[] {
  if (later.length === 0) return messages;
  const waiting = new Set(later.map(({ id }) => id));
  return messages.filter(({ id }) => !waiting.has(id));
}

async function putBack(
  db: Pick<PoolClient, 'query'>,
  claimed: readonly ClaimedMessage[],
  later: readonly Delayed[],
): Promise<void> {
  if (later.length === 0) return;
  const epochs = new Map(claimed.map(({ id, epoch }) => [id, epoch]));
  await db.query({
    name: 'ledger-put-back',
    text: PUT_BACK,
    values: [
      later.map(({ id }) => id),
      later.map(({ id }) => epochs.get(id)),
      later.map(({ until }) => until),
      later.map(({ reason }) => reason),
    ],
  });
}

/** So many take a fifth of a second; there may be a million behind them whose hours are open. */
const OTHERS = 2_000;
const LOOKED_AT = 20_000;

/** By the claim that found nothing else: what stands behind these and is as closed need not be claimed for it. */
async function putOthersBack(
  db: Pick<PoolClient, 'query'>,
  later: readonly Delayed[],
  now: Date,
): Promise<void> {
  await db.query({
    name: 'ledger-put-others-back',
    text: PUT_OTHERS_BACK,
    values: [later.map(({ id }) => id), later.map(({ until }) => until), now],
  });
}

/**
 * What the people have got, or are about to, and what waits for them in vain so far, but for what is of no use by its time: nothing goes
 * then. Served by `message_subscriber`. What is to come is of a clock that was ahead: until then nobody would get more.
 */
const SENT = `
select m.subscriber_id as "subscriberId", m.id, m.priority, m.state = 'ready' as waits,
  case m.state when 'leased' then $4::timestamptz when 'ready' then m.due_at else coalesce(m.accepted_at, m.data_at) end as at
from message m
where m.subscriber_id = any($1::bigint[]) and m.class = 'marketing' and m.id <> all($2::bigint[])
  and (m.state = 'leased' or (m.state in ('accepted', 'unknown') and coalesce(m.accepted_at, m.data_at) > $3
    and coalesce(m.accepted_at, m.data_at) < $4::timestamptz + interval '1 hour')
    or (m.state = 'ready' and m.due_at > $4 and (m.expires_at <= m.due_at) is not true and (m.state_reason = '${OUTSIDE_HOURS}' or starts_with(m.state_reason, '${FREQUENCY_CAP}'))))`;

const KEPT_BY_KEY = keptByKeySql('m');

/**
 * How long behind an opening a mail `m` that its hours kept goes: in a place of the spread of its broadcast `b` anew, as `spreadOffsetMs`
 * tells them. Else all of a spread would go in the first minute. None behind the time at which the mail would be of no use.
 */
const PLACED = (until: string): string => `greatest(${until}, least(m.expires_at - interval '5 minutes',
  ${until} + coalesce((b.timing ->> 'spreadMinutes')::float8, 0) * (m.id * 0.6180339887498949 % 1)::float8 * interval '1 minute'))`;

/**
 * As if they had not been claimed. Their new time is no delay of an outage's making, so it is also what they were planned
 * for. But what waits for its DKIM key stays as late by that over the hours in which it may not go, should the key be missing
 * behind them still, and the key does not answer for the pause of a cap: as late as it was when that began it is when it ends.
 * Fenced: a worker that stood still may find them claimed by another, and on their way.
 */
const PUT_BACK = `
update message m set state = 'ready', lease_owner = null, lease_until = null, attempt = attempt - 1, due_at = h.until,
  planned_for = case when m.planned_for is null then null
    when ${KEPT_BY_KEY} and h.reason = '${OUTSIDE_HOURS}' then m.planned_for
    when ${KEPT_BY_KEY} then m.planned_for + (h.until - m.due_at)
    else h.until end, state_reason = h.reason
from (
  select g.id, g.epoch, g.reason, case when g.reason = '${OUTSIDE_HOURS}' then ${PLACED('g.until')} else g.until end as until
  from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[]) as g (id, epoch, until, reason)
    join message m on m.id = g.id left join broadcast b on b.id = m.broadcast_id) h
where m.id = h.id and m.lease_epoch = h.epoch and ${IS_LEASED} and m.data_at is null`;

/**
 * Of the broadcasts of mails that are put back, what is due behind them with the same hours. By claims alone a million take
 * half an hour where the pace allows five at a time, and whatever else has their priority waits behind them. What is of no use then,
 * was refused, or was planned for earlier than these is left to its claim: it may be late, or of a backup. Served by `message_ready`; waits for nobody's lock.
 */
const PUT_OTHERS_BACK = `
with closed as materialized (
  select m.lane_key, m.priority, m.broadcast_id, m.send_hours_id, min(coalesce(m.planned_for, m.due_at)) as first_at, h.until
  from unnest($1::bigint[], $2::timestamptz[]) as h (id, until) join message m on m.id = h.id
  where m.broadcast_id is not null group by m.lane_key, m.priority, m.broadcast_id, m.send_hours_id, h.until),
other as materialized (
  select o.id, c.until from closed c cross join lateral (
    select m.id from message m where m.state = 'ready' and m.due_at <= $3 and m.id in (
      select n.id from (select * from message where state = 'ready' and lane_key = c.lane_key and priority = c.priority
          and due_at >= c.first_at and due_at <= $3 order by due_at, id limit ${LOOKED_AT}) n
      where n.broadcast_id = c.broadcast_id and n.send_hours_id = c.send_hours_id
        and (n.expires_at is null or n.expires_at > c.until + interval '5 minutes')
        and (n.planned_for is null or n.planned_for = n.due_at or (n.planned_for >= c.first_at and n.state_reason is null))
        and (n.state_reason is null or n.state_reason = '${OUTSIDE_HOURS}' or starts_with(n.state_reason, '${FREQUENCY_CAP}'))
      limit ${OTHERS})
    for update skip locked) o
  limit ${OTHERS}),
placed as (
  select other.id, ${PLACED('other.until')} as until
  from other join message m on m.id = other.id left join broadcast b on b.id = m.broadcast_id)
update message m set due_at = h.until, planned_for = case when m.planned_for is not null then h.until end, state_reason = '${OUTSIDE_HOURS}'
from placed h where m.id = h.id`;
