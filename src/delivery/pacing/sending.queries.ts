import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { silentKeepers, type SilentKeeper } from '../../subscribers/keepers.service.js';
import { takesWrites } from '../../infra/database/takes-writes.queries.js';
import { REPLY_REASONS } from '../replies/reply-reason.js';
import { WAITS_FOR_KEY, WAITS_FOR_TEST } from '../message/state-reasons.js';
import type { OpenHours } from '../../values/week-hours.js';
import type { QueueLoad } from './estimate.js';

interface LoadRow extends QueueLoad {
  hours?: OpenHours | null;
  /** Of `ready`: their last try was refused for want of a good DKIM key. */
  unsigned: number;
}

/** Mails that are held until a split test is judged. */
interface WaitingLoad {
  queueKey: string;
  /** Of their readers; null as well where nobody asked. */
  timeZone: string | null;
  /** As planned: the last of their places in the spread. */
  dueAt: Date;
  count: number;
  hours: OpenHours | null;
}

const UNSIGNED = `count(*) filter (where starts_with(state_reason, '${WAITS_FOR_KEY}'))`;
/** The load is summed up over such spans: so much later than it will be an estimate may be, however many mails there are. */
const SPAN = `interval '5 minutes'`;
/** Of what is due by now the one before $1. */
const SLOT = `date_bin(${SPAN}, greatest(due_at, $1::timestamptz) - interval '1 microsecond', $1::timestamptz)`;
const HOURS = `(select json_build_object('spans', h.spans, 'timeZone', h.time_zone) from send_hours h where h.id = send_hours_id) as hours`;
const IN_MS = (at: string): string =>
  `date_part('epoch', greatest(${at}, $1::timestamptz) - $1::timestamptz) * 1000`;

/** Mails that were refused for now, by the reason. */
export interface PutOffCount {
  reason: string;
  count: number;
  /** When the first and the last of them are tried again. */
  nextAt: Date;
  lastAt: Date;
}

/** Served by `message_put_off`, whose condition is this one: by `message_ready` all would be read that is planned for later. */
export const PUT_OFF = `
select state_reason as reason, count(*)::float8 as count, min(due_at) as "nextAt", max(due_at) as "lastAt"
from message where state = 'ready' and reply_code between 400 and 499 and due_at > $1 and state_reason = any($2)
group by 1 order by 2 desc, 1`;

/** The SQL behind how sending stands. */
@Injectable()
export class SendingQueries {
  constructor(private readonly dataSource: DataSource) {}

  async takesWrites(): Promise<boolean> {
    return takesWrites(this.dataSource.manager);
  }

  /** As `Keepers.silent`. */
  async silentKeepers(now: Date): Promise<SilentKeeper[]> {
    return silentKeepers(this.dataSource.manager, now);
  }

  /** What an answer of 4xx has put off until later than `now`, most first; not what waits for its hours or its worker since. */
  async putOff(now: Date): Promise<PutOffCount[]> {
    return this.dataSource.query(PUT_OFF, [now, REPLY_REASONS]);
  }

  /** Ready mails by queue: all that are due, and what its key has just put off. Served by `message_ready`. */
  async dueLoad(now: Date): Promise<LoadRow[]> {
    return this.dataSource.query(
      `select lane_key as "queueKey", ${IN_MS('max(due_at)')} as "inMs", count(*)::float8 as ready, 0::float8 as ahead, ${UNSIGNED}::float8 as unsigned
       from message where state = 'ready' and due_at <= $1::timestamptz + interval '10 minutes'
         and (due_at <= $1 or starts_with(state_reason, '${WAITS_FOR_KEY}')) group by lane_key`,
      [now],
    );
  }

  /**
   * Ready mails by queue and time: those of the broadcast, by their hours as well, and all others that are due until its last, but not before `until`
   * where it has mails that wait. Over half a second for a million of its own, a second with a million of others. Served by `message_broadcast_open` and `message_ready`.
   */
  async broadcastLoad(broadcastId: string, now: Date, until: Date | null): Promise<LoadRow[]> {
    return this.dataSource.query(
      `with own as (select lane_key, ${SLOT} as slot, send_hours_id, count(*) as n, max(due_at) as last, ${UNSIGNED} as unsigned
         from message where broadcast_id = $2 and state = 'ready' group by lane_key, slot, send_hours_id),
       in_slot as (select *, sum(n) over slots as of_slot, row_number() over (slots order by send_hours_id) as place
         from own window slots as (partition by lane_key, slot)),
       due as (select lane_key, ${SLOT} as slot, count(*) as n, max(due_at) as last
         from message where state = 'ready' and due_at <= (select greatest($1, $3::timestamptz, max(last)) from own) group by lane_key, slot)
       select lane_key as "queueKey", ${IN_MS('greatest(own.last, due.last)')} as "inMs", coalesce(own.n, 0)::float8 as ready,
         case when coalesce(own.place, 1) = 1 then coalesce(due.n, 0) - coalesce(own.of_slot, 0) else 0 end::float8 as ahead,
         coalesce(own.unsigned, 0)::float8 as unsigned, ${HOURS}
       from in_slot own full join due using (lane_key, slot)`,
      [now, broadcastId, until],
    );
  }

  /** Mails of the broadcast that wait for its split test. `byZone`: their readers are asked, over a second for a million in place of a third of one. Served by `message_broadcast_open`. */
  async waitingLoad(broadcastId: string, now: Date, byZone: boolean): Promise<WaitingLoad[]> {
    const zone = byZone ? 's.time_zone' : 'null::text';
    const readers = byZone ? 'left join subscriber s on s.id = m.subscriber_id' : '';
    return this.dataSource.query(
      `select lane_key as "queueKey", ${zone} as "timeZone", max(due_at) as "dueAt", count(*)::float8 as count, ${HOURS}
       from message m ${readers}
       where m.broadcast_id = $2 and m.state = 'held' and m.state_reason = $3 group by lane_key, 2, send_hours_id, ${SLOT}`,
      [now, broadcastId, WAITS_FOR_TEST],
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
