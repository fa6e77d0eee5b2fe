import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { HARD_REASONS } from '../delivery/replies/reply-reason.js';
import { SENDER_REFUSALS } from '../delivery/replies/sender-refusal.js';
import type { BounceReason, BounceVerdict } from './judged-mail.js';

export interface NewBounce {
  dedupeKey: string;
  messageId: string | null;
  subscriberId: string | null;
  addressHash: Buffer | null;
  broadcastId: string | null;
  providerGroup: string | null;
  verdict: BounceVerdict;
  reason: BounceReason;
  status: string | null;
  replyCode: number | null;
  /** Null when the person was erased. */
  diagnostic: string | null;
  reportingMta: string | null;
  source: string;
  trusted: boolean;
  receivedAt: Date;
}

export interface BounceRow {
  id: string;
  messageId: string | null;
  subscriberId: string | null;
  broadcastId: string | null;
  verdict: string;
  reason: string;
  statusCode: string | null;
  replyCode: number | null;
  diagnostic: string | null;
  reportingMta: string | null;
  source: string;
  trusted: boolean;
  receivedAt: Date;
}

export interface BounceFilter {
  id?: string | undefined;
  verdict?: string | undefined;
  trusted?: boolean | undefined;
  messageId?: string | undefined;
  subscriberId?: string | undefined;
  broadcastId?: string | undefined;
  beforeId?: string | undefined;
  limit: number;
}

/** Whose reports are looked through: those that came after `since`. */
interface ReportsOf {
  addressHash: Buffer;
  subscriberId: string | null;
  since: Date;
  now: Date;
}

/**
 * The reports of that kind about mails that were sent after the last one that arrived: accepted, and nothing has come back
 * of it in the time that the slowest of these reports took, a queue's six days at most. A relay that tries for five days
 * tells of today's mail in five days; until then, today's mail says nothing about those before it. Served by `bounce_address`, `message_subscriber` and
 * primary keys. `arrival`: what else is asked of a mail that arrived.
 */
const inARow = (which: string, arrival = 'true'): string => `
  with reports as (
    select coalesce(b.message_id::text, b.dedupe_key) as mail, b.received_at,
      (select m.accepted_at from message m where m.id = b.message_id) as accepted_at
    from bounce b where b.address_hash = $1 and b.trusted and b.received_at > $3 and ${which}),
  arrived as (
    select max(m.accepted_at) as at from message m
    where m.subscriber_id = $2 and m.address_hash = $1 and m.state = 'accepted'
      and m.accepted_at <= $4::timestamptz - least(interval '6 days', coalesce((select max(received_at - accepted_at) from reports), interval '0'))
      and ${arrival} and not exists (select 1 from bounce x where x.message_id = m.id and x.trusted and x.verdict in ('soft', 'hard'))),
  in_a_row as (
    select r.* from reports r cross join arrived a where a.at is null or coalesce(r.accepted_at, r.received_at) > a.at)`;

/** Of a report `r` of `inARow`: a person has read that mail, or any since it came. What is read has a mailbox that takes it. */
const WAS_READ = `exists (select 1 from message h join tracking_event t on t.message_id = h.id
  where h.subscriber_id = $2 and t.class = 'human' and (t.at > r.received_at or h.id::text = r.mail))`;

/** The SQL of `bounce`. */
@Injectable()
export class BouncesQueries {
  constructor(private readonly dataSource: DataSource) {}

  /** Null when the report was there already. */
  async insert(manager: EntityManager, bounce: NewBounce): Promise<string | null> {
    const rows: { id: string }[] = await manager.query(
      `insert into bounce (dedupe_key, message_id, subscriber_id, address_hash, broadcast_id, provider_group, verdict, reason,
         status_code, reply_code, diagnostic, reporting_mta, source, trusted, received_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
       on conflict (dedupe_key) do nothing returning id`,
      [
        bounce.dedupeKey,
        bounce.messageId,
        bounce.subscriberId,
        bounce.addressHash,
        bounce.broadcastId,
        bounce.providerGroup,
        bounce.verdict,
        bounce.reason,
        bounce.status,
        bounce.replyCode,
        bounce.diagnostic,
        bounce.reportingMta,
        bounce.source,
        bounce.trusted,
        bounce.receivedAt,
      ],
    );
    return rows[0]?.id ?? null;
  }

  /**
   * Mails to the address that failed softly since `since`, since the last one that arrived, and that were sent since its
   * owner confirmed: a relay may tell days later of those from before. Without those that ask to confirm: a stranger may
   * have them sent; and without those that were read, or something was since: whoever was passed them on can write of them.
   */
  async softInARow(manager: EntityManager, about: ReportsOf): Promise<number> {
    const sent = 'coalesce((select m.accepted_at from message m where m.id = b.message_id), b.received_at)';
    const kind = '(select m.kind from message m where m.id = b.message_id)';
    const confirmed = `coalesce((select s.confirmed_at from subscriber s where s.id = $2), '-infinity')`;
    const rows: { count: number }[] = await manager.query(
      `${inARow(`b.verdict = 'soft' and ${sent} > ${confirmed} and ${kind} is distinct from 'confirmation'`)} select count(distinct r.mail)::int as count from in_a_row r where not ${WAS_READ}`,
      [about.addressHash, about.subscriberId, about.since, about.now],
    );
    return rows[0]?.count ?? 0;
  }

  /**
   * Whether another mail to the address was told dead before by a report that was doubted for who brought it, with none
   * that arrived in between and nothing read since. Called for each such report; locks nothing. As `inARow`, and by
   * `tracking_event_message`.
   */
  async wasDoubted(manager: EntityManager, about: ReportsOf & { id: string }): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `${inARow(`b.verdict = 'soft' and b.reason = any($5::text[]) and b.message_id <> $6`, 'm.id <> $6')}
       select 1 from in_a_row r where r.received_at - r.accepted_at < interval '7 days' and not ${WAS_READ} limit 1`,
      [about.addressHash, about.subscriberId, about.since, about.now, HARD_REASONS, about.id],
    );
    return rows.length > 0;
  }

  /** When the address's domain was first reported unknown, since the last mail that arrived there or `since`. */
  async hostUnknownSince(manager: EntityManager, about: ReportsOf): Promise<Date | null> {
    const rows: { at: Date | null }[] = await manager.query(
      `${inARow(`b.reason = 'host_unknown'`)} select min(received_at) as at from in_a_row`,
      [about.addressHash, about.subscriberId, about.since, about.now],
    );
    return rows[0]?.at ?? null;
  }

  async countUntrusted(manager: EntityManager, since: Date): Promise<number> {
    const rows: { count: number }[] = await manager.query(
      `select count(*)::int as count from bounce where not trusted and received_at > $1`,
      [since],
    );
    return rows[0]?.count ?? 0;
  }

  async countUnnamed(source: string, since: Date): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::int as count from bounce where not trusted and message_id is null and source = $1 and received_at > $2`,
      [source, since],
    );
    return rows[0]?.count ?? 0;
  }

  /** Broadcasts with something to count since `since`. */
  async reportedBroadcasts(since: Date): Promise<string[]> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select distinct b.broadcast_id as id from bounce b join broadcast k on k.id = b.broadcast_id
       where b.received_at > $1 and b.trusted and k.state in ('scheduled', 'planning', 'running')`,
      [since],
    );
    return rows.map(({ id }) => id);
  }

  /** Funnels of whose sequences at least two mails have come back since `since`. Served by `bounce_received` and `bounce_untrusted`. */
  async reportedSequences(since: Date): Promise<string[]> {
    const rows: { key: string }[] = await this.dataSource.query(
      `select m.funnel_key as key from (
         select message_id from bounce
         where received_at > $1 and trusted and broadcast_id is null and verdict in ('hard', 'sender', 'complaint')
         union all
         select message_id from bounce where received_at > $1 and not trusted and broadcast_id is null and verdict = 'sender') b
       join message m on m.id = b.message_id
       where m.kind = 'sequence' and m.funnel_key is not null
       group by 1 having count(distinct b.message_id) > 1`,
      [since],
    );
    return rows.map(({ key }) => key);
  }

  /** Those reasons, as they stand in `state_reason`, for which a mail is held because of the sender. Served by `message_held`. */
  async heldForSender(): Promise<string[]> {
    const rows: { reason: string }[] = await this.dataSource.query(
      `select r.reason from unnest($1::text[]) as r (reason)
       where exists (select 1 from message m where m.state = 'held' and m.state_reason = r.reason)`,
      [SENDER_REFUSALS],
    );
    return rows.map(({ reason }) => reason);
  }

  /** Whether a mail of that domain is held for that reason, as it stands in `state_reason`. Served by `message_held`. */
  async holdsFor(manager: EntityManager, reason: string, senderDomain: string): Promise<boolean> {
    const [row]: { held: boolean }[] = await manager.query(
      `select exists (select 1 from message where state = 'held' and state_reason = $1 and split_part(lane_key, '|', 1) = $2) as held`,
      [reason, senderDomain],
    );
    return row?.held === true;
  }

  /** Newest first. */
  async list(filter: BounceFilter): Promise<BounceRow[]> {
    return this.dataSource.query(
      `select id, message_id as "messageId", subscriber_id as "subscriberId", broadcast_id as "broadcastId", verdict, reason,
         status_code as "statusCode", reply_code as "replyCode", diagnostic, reporting_mta as "reportingMta", source, trusted,
         received_at as "receivedAt"
       from bounce
       where ($1::bigint is null or id = $1) and ($2::text is null or verdict = $2) and ($3::boolean is null or trusted = $3)
         and ($4::bigint is null or message_id = $4) and ($5::bigint is null or subscriber_id = $5)
         and ($6::bigint is null or broadcast_id = $6) and ($7::bigint is null or id < $7)
       order by id desc limit $8`,
      [
        filter.id ?? null,
        filter.verdict ?? null,
        filter.trusted ?? null,
        filter.messageId ?? null,
        filter.subscriberId ?? null,
        filter.broadcastId ?? null,
        filter.beforeId ?? null,
        filter.limit,
      ],
    );
  }
}
