import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { ArmFigures, SplitDecision } from './split.js';

interface FiguresOf {
  broadcastId: string;
  /** Currency in which orders count, and the most that each reader's count for. */
  cap: { amountMinor: number; currency: string } | null;
  until: Date;
}

/** The SQL of split tests. Their mails are written by the delivery module. */
@Injectable()
export class SplitQueries {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Whether a mail of the test has not been tried yet. What a relay has put off, what waits for a cap on mails to one
   * person or for the owner, holds nothing up. Served by `message_broadcast_open`.
   */
  async isBeingTried(broadcastId: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `select 1 from message where broadcast_id = $1 and arm is not null
         and ((state = 'ready' and attempt = 0 and state_reason is null) or (state = 'leased' and attempt <= 1)) limit 1`,
      [broadcastId],
    );
    return rows.length > 0;
  }

  /**
   * What the arms brought until a time. A reader's orders count from the moment their mail was taken, whether they came
   * through a link in it or not: arms are drawn by lot, so all that differs is the arm's doing. What was paid back counts
   * for nothing. Served by
   * `message_broadcast_mailbox`, `tracking_event_message` and `conversion_subscriber`.
   */
  async figures({ broadcastId, cap, until }: FiguresOf): Promise<ArmFigures[]> {
    return this.dataSource.query(
      `with reader as (
         select m.id, m.arm, m.subscriber_id, coalesce(m.accepted_at, m.data_at) as taken_at
         from message m where m.broadcast_id = $1 and m.arm is not null and m.state in ('accepted', 'unknown')),
       clicker as (
         select r.arm, count(*) as n from reader r where exists (
           select 1 from tracking_event e where e.message_id = r.id and e.kind = 'click' and e.class = 'human' and e.at <= $2)
         group by r.arm),
       buyer as (
         select r.arm, r.id, sum(c.amount_minor - coalesce(o.refunded_minor, 0)) as amount from reader r join conversion c on c.subscriber_id = r.subscriber_id
           left join orders o on o.id = c.order_id
         where c.kind = 'order' and c.currency = $3 and c.at >= r.taken_at and c.at <= $2 and coalesce(o.status, 'paid') = 'paid'
         group by r.arm, r.id),
       paid as (
         select arm, sum(n * amount)::float8 as revenue,
           json_agg(json_build_object('amountMinor', least(amount, $4), 'readers', n)) as capped
         from (select arm, amount, count(*) as n from buyer where amount > 0 group by arm, amount) b group by arm)
       select r.arm, count(*)::int as sent, coalesce(max(k.n), 0)::int as clickers,
         coalesce(max(p.revenue), 0) as "revenueMinor", coalesce((array_agg(p.capped))[1], '[]') as capped
       from reader r left join clicker k on k.arm = r.arm left join paid p on p.arm = r.arm group by r.arm order by r.arm`,
      [broadcastId, until, cap?.currency ?? null, cap?.amountMinor ?? 0],
    );
  }

  async setDecideAt(manager: EntityManager, id: string, at: Date): Promise<void> {
    await manager.query('update broadcast set decide_at = $2 where id = $1', [id, at]);
  }

  async decide(manager: EntityManager, id: string, decision: SplitDecision): Promise<void> {
    await manager.query('update broadcast set decision = $2 where id = $1', [id, JSON.stringify(decision)]);
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
