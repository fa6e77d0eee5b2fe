import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { OVERDUE } from '../delivery/message/overdue.js';
import { BROADCAST_PAUSED } from '../delivery/message/state-reasons.js';
import { domainSql } from '../values/email-address.js';
import { HELD_OUT } from '../segments/held-out.js';
import type { GroupFigures } from './holdout.js';
import { allMarks, isTimed, type Split } from './split.js';
import type { ArmFigures, SplitDecision, StoppedArm } from './split-results.js';

/** In SQL, of the mails of a test, by all the marks that they may have. */
const OF_TEST = 'broadcast_id = $1 and arm = any ($2::smallint[]) and arm is not null';

interface FiguresOf {
  broadcastId: string;
  split: Split;
  until: Date;
}

interface Tried {
  /** Any may have reached its reader. */
  isTaken: boolean;
  /** When the last of them went or was to go, where an outage has made any late; null: none is. */
  overdueSince: Date | null;
}

/** The SQL of split tests. Their mails are written by the delivery module. */
@Injectable()
export class SplitQueries {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Whether a mail of the test has not been tried yet; those that a pause held are let go one after the other. What a relay
   * has put off, what waits for a cap on mails to one person or for the owner, holds nothing up. Served by
   * `message_broadcast_arm`, a look for each mark.
   */
  async isBeingTried(broadcastId: string, split: Split): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `select 1 where exists (select 1 from message where ${OF_TEST} and state = 'ready' and attempt = 0 and state_reason is null)
         or exists (select 1 from message where ${OF_TEST} and state = 'leased' and attempt <= 1)
         or exists (select 1 from message where ${OF_TEST} and state = 'held' and attempt = 0 and state_reason = $3)`,
      [broadcastId, allMarks(split), BROADCAST_PAUSED],
    );
    return rows.length > 0;
  }

  /**
   * Whether a test that is not being tried waits: any of its mails may still go, and none has been taken. Looked at every few
   * seconds, in an outage or until the owner's word for days; by `message_broadcast_arm` and `message_broadcast_open`.
   */
  async waits(broadcastId: string, split: Split): Promise<boolean> {
    const [row]: { waits: boolean }[] = await this.dataSource.query(
      `select (exists (select 1 from message where ${OF_TEST} and state in ('ready', 'held', 'leased'))
           or exists (select 1 from message where broadcast_id = $1 and arm is not null and state = 'in_data'))
         and not exists (select 1 from message where ${OF_TEST} and state in ('accepted', 'unknown')) as waits`,
      [broadcastId, allMarks(split)],
    );
    return row?.waits ?? false;
  }

  /**
   * What became of a test that is not being tried and does not wait. Reads the whole broadcast by `message_broadcast`, once.
   */
  async tried(broadcastId: string): Promise<Tried> {
    const rows: Tried[] = await this.dataSource.query(
      `with test as (
         select state in ('accepted', 'unknown') as taken,
           state in ('held', 'expired', 'cancelled') and starts_with(coalesce(state_reason, ''), $2) as overdue,
           coalesce(accepted_at, data_at, planned_for, due_at) as at
         from message where broadcast_id = $1 and arm is not null)
       select coalesce(bool_or(taken), false) as "isTaken",
         case when bool_or(overdue) then max(at) filter (where taken or overdue) end as "overdueSince" from test`,
      [broadcastId, OVERDUE],
    );
    return rows[0] ?? { isTaken: false, overdueSince: null };
  }

  /**
   * What the arms brought until a time. A reader's orders count from the moment their mail was taken, whether they came
   * through a link in it or not: arms are drawn by lot, so all that differs is the arm's doing. What was paid back counts
   * for nothing. Where arms differ in their hour, each reader has the same time from their mail on, and all who were drawn
   * are compared: more of those who wait longer leave before it. Served by `message_broadcast_mailbox`,
   * `tracking_event_message`, `conversion_subscriber`, `consent_event_subscriber` and `bounce_broadcast`.
   */
  async figures({ broadcastId, split, until }: FiguresOf): Promise<ArmFigures[]> {
    const { revenueCap: cap, waitMinutes } = split;
    return this.dataSource.query(
      `with drawn as (
         select m.id, m.arm, m.subscriber_id, lower(m.address) as address, coalesce(m.accepted_at, m.data_at) as taken_at,
           least($2, coalesce(m.accepted_at, m.data_at) + $5::int * interval '1 minute') as until,
           m.state in ('accepted', 'unknown') as sent,
           m.state not in ('accepted', 'unknown') and exists (select 1 from subscriber s
             where s.id = m.subscriber_id and s.status = 'active' and s.paused_until is null) as lost
         from message m where m.broadcast_id = $1 and m.arm >= 0 and ($5::int is not null or m.state in ('accepted', 'unknown'))),
       reader as (select * from drawn where sent),
       clicker as (
         select r.arm, count(*) as n from reader r where exists (
           select 1 from tracking_event e where e.message_id = r.id and e.kind = 'click' and e.class = 'human' and e.at <= r.until)
         group by r.arm),
       gone as (
         select r.arm, count(*) as n from reader r where exists (
           select 1 from consent_event c where c.subscriber_id = r.subscriber_id and c.kind = 'withdrawn' and c.purpose = 'marketing'
             and c.at >= r.taken_at and c.at <= $2)
         group by r.arm),
       angry as (
         select distinct r.arm, r.id, r.address, ${domainSql('r.address')} as domain from bounce b join reader r on r.id = b.message_id
         where b.broadcast_id = $1 and b.verdict = 'complaint' and b.trusted and b.received_at <= $2),
       near as (
         select r.arm, d.domain, count(*) as n from reader r cross join lateral (select ${domainSql('r.address')} as domain) d
         where exists (select from angry) and d.domain in (select domain from angry) group by 1, 2),
       complained as (
         select arm, count(*) as n, json_agg(json_build_object('address', a.address, 'domain', domain, 'people', n.n)) as whose
         from angry a join near n using (arm, domain) group by arm),
       buyer as (
         select r.arm, r.id, sum(c.amount_minor - coalesce(o.refunded_minor, 0)) as amount from reader r join conversion c on c.subscriber_id = r.subscriber_id
           left join orders o on o.id = c.order_id
         where c.kind = 'order' and c.currency = $3 and c.at >= r.taken_at and c.at <= r.until and coalesce(o.status, 'paid') = 'paid'
         group by r.arm, r.id),
       paid as (
         select arm, sum(n * amount)::float8 as revenue,
           json_agg(json_build_object('amountMinor', least(amount, $4), 'readers', n)) as capped
         from (select arm, amount, count(*) as n from buyer where amount > 0 group by arm, amount) b group by arm)
       select d.arm, count(*)::int as people, count(*) filter (where not d.lost)::int as reached,
         count(*) filter (where d.sent)::int as sent, coalesce(max(k.n), 0)::int as clickers,
         coalesce(max(p.revenue), 0) as "revenueMinor", coalesce((array_agg(p.capped))[1], '[]') as capped,
         coalesce(max(g.n), 0)::int as unsubscribes, coalesce(max(a.n), 0)::int as complaints,
         coalesce((array_agg(a.whose))[1], '[]') as complainers
       from drawn d left join clicker k on k.arm = d.arm left join paid p on p.arm = d.arm left join gone g on g.arm = d.arm
         left join complained a on a.arm = d.arm group by d.arm order by d.arm`,
      [broadcastId, until, cap?.currency ?? null, cap?.amountMinor ?? 0, isTimed(split) ? waitMinutes : null],
    );
  }

  /**
   * The holdout of a broadcast and those who were mailed, with their orders from its beginning until a time. Served by
   * `message_broadcast_mailbox` and `conversion_subscriber`.
   */
  async groups(
    broadcastId: string,
    { split, from, until }: { split: Split; from: Date; until: Date },
  ): Promise<GroupFigures[]> {
    const { revenueCap: cap } = split;
    return this.dataSource.query(
      `with person as (
         select m.subscriber_id, coalesce(m.state = 'suppressed' and m.state_reason = $6, false) as held
         from message m where m.broadcast_id = $1 and m.subscriber_id is not null),
       buyer as (
         select p.held, p.subscriber_id, c.currency, sum(c.amount_minor - coalesce(o.refunded_minor, 0)) as amount
         from person p join conversion c on c.subscriber_id = p.subscriber_id left join orders o on o.id = c.order_id
         where c.kind = 'order' and c.at >= $2 and c.at <= $3 and coalesce(o.status, 'paid') = 'paid'
         group by 1, 2, 3 having sum(c.amount_minor - coalesce(o.refunded_minor, 0)) > 0),
       currency as (select held, currency, sum(amount)::float8 as amount from buyer group by 1, 2),
       paid as (select held, least(amount, $5) as amount, count(*) as n from buyer where currency = $4 group by 1, 2)
       select p.held as "isHeldOut", count(*)::int as people,
         (select count(distinct b.subscriber_id)::int from buyer b where b.held = p.held) as buyers,
         (select coalesce(json_agg(json_build_object('amountMinor', c.amount, 'currency', c.currency) order by c.currency), '[]')
          from currency c where c.held = p.held) as revenue,
         (select coalesce(json_agg(json_build_object('amountMinor', a.amount, 'readers', a.n)), '[]')
          from paid a where a.held = p.held) as capped
       from person p group by p.held order by p.held`,
      [broadcastId, from, until, cap?.currency ?? null, cap?.amountMinor ?? 0, HELD_OUT],
    );
  }

  async setDecideAt(manager: EntityManager, id: string, at: Date): Promise<void> {
    await manager.query('update broadcast set decide_at = $2 where id = $1', [id, at]);
  }

  async decide(manager: EntityManager, id: string, decision: SplitDecision): Promise<void> {
    await manager.query('update broadcast set decision = $2 where id = $1', [id, JSON.stringify(decision)]);
  }

  /** The guard rails were looked at, and these arms are stopped. */
  async looked(
    manager: EntityManager,
    id: string,
    { stopped, now }: { stopped: readonly StoppedArm[]; now: Date },
  ): Promise<void> {
    await manager.query('update broadcast set stopped_arms = $2, looked_at = $3 where id = $1', [
      id,
      JSON.stringify(stopped),
      now,
    ]);
  }

  /** Holds the broadcast as it is until the caller's transaction ends. False when it is paused or cancelled. */
  async isRunning(manager: EntityManager, id: string): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `select 1 from broadcast where id = $1 and state = 'running' for share`,
      [id],
    );
    return rows.length > 0;
  }
}
