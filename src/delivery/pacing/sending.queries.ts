import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { WAITS_FOR_KEY, WAITS_FOR_TEST } from '../message/state-reasons.js';
import type { QueueLoad } from './estimate.js';

interface LoadRow extends QueueLoad {
  /** Of `ready`: held until the split test is judged. */
  waiting: number;
  /** Of `ready`: their last try was refused for want of a good DKIM key. */
  unsigned: number;
  lastDueAt: Date | null;
}

const UNSIGNED = `count(*) filter (where starts_with(state_reason, '${WAITS_FOR_KEY}'))`;

/** The SQL behind the estimate. */
@Injectable()
export class SendingQueries {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Ready mails by queue: those of the broadcast, whenever they are due, and among them those that wait for its split test;
   * or all that are due, and what its key has just put off. Served by `message_ready` and `message_broadcast_open`.
   */
  async load(broadcastId: string | null, now: Date): Promise<LoadRow[]> {
    if (broadcastId === null)
      return this.dataSource.query(
        `select lane_key as "queueKey", count(*)::float8 as ready, 0::float8 as ahead, 0::float8 as waiting, max(due_at) as "lastDueAt",
           ${UNSIGNED}::float8 as unsigned
         from message where state = 'ready' and due_at <= $1::timestamptz + interval '10 minutes'
           and (due_at <= $1 or starts_with(state_reason, '${WAITS_FOR_KEY}')) group by lane_key`,
        [now],
      );
    return this.dataSource.query(
      `with own as (select lane_key, count(*) as n, count(*) filter (where state = 'held') as waiting, max(due_at) as last, ${UNSIGNED} as unsigned from message
         where broadcast_id = $1 and (state = 'ready' or state = 'held' and state_reason = $3) group by lane_key),
       due as (select lane_key, count(*) as n from message where state = 'ready' and due_at <= $2 group by lane_key),
       own_due as (select lane_key, count(*) as n from message
         where broadcast_id = $1 and state = 'ready' and due_at <= $2 group by lane_key)
       select coalesce(own.lane_key, due.lane_key) as "queueKey", coalesce(own.n, 0)::float8 as ready,
         (coalesce(due.n, 0) - coalesce(own_due.n, 0))::float8 as ahead, coalesce(own.waiting, 0)::float8 as waiting, own.last as "lastDueAt",
         coalesce(own.unsigned, 0)::float8 as unsigned
       from own full join due on due.lane_key = own.lane_key left join own_due on own_due.lane_key = own.lane_key`,
      [broadcastId, now, WAITS_FOR_TEST],
    );
  }

  /**
   * Mails a second that the relays took in the busiest ten of the last sixty seconds; null when they took none. Served
   * by `message_attempt_finished`.
   */
  async observedPerSecond(): Promise<number | null> {
    const rows: { perSecond: number | null }[] = await this.dataSource.query(
      `select max(n)::float8 / 10 as "perSecond" from (
         select count(*) as n from message_attempt
         where finished_at > clock_timestamp() - interval '60 seconds' and finished_at <= clock_timestamp() and outcome = 'accepted'
         group by floor(extract(epoch from finished_at) / 10)) slots`,
    );
    return rows[0]?.perSecond ?? null;
  }
}
