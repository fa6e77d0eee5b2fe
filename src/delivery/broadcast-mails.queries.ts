import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** Why the claim holds a mail of a broadcast that stands still. */
const PAUSED = 'broadcast paused';

export interface BroadcastMailCount {
  broadcastId: string;
  state: string;
  count: number;
}

/** The ledger's rows of a broadcast, as a whole. */
@Injectable()
export class BroadcastMailsQueries {
  constructor(private readonly dataSource: DataSource) {}

  /** Counted from the rows each time, so no crash can make it wrong. Served by `message_broadcast_mailbox`. */
  async counts(broadcastIds: readonly string[]): Promise<BroadcastMailCount[]> {
    return this.dataSource.query(
      `select m.broadcast_id as "broadcastId",
         case when m.state = 'leased' and m.data_at is not null then 'in_data' else m.state end as state, count(*)::int as count
       from message m where m.broadcast_id = any ($1::bigint[]) group by 1, 2`,
      [broadcastIds],
    );
  }

  /**
   * Called for a cancelled broadcast until nothing is left; returns how many were cancelled now. What is leased goes by
   * the barrier, which reads the broadcast's state. Served by `message_broadcast_open`.
   */
  async cancel(broadcastId: string, limit: number): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `update message set state = 'cancelled', state_reason = 'broadcast cancelled', settled_at = clock_timestamp()
       where id in (select id from message where broadcast_id = $1 and state in ('ready', 'held') limit $2 for update skip locked)`,
      [broadcastId, limit],
    );
    return count;
  }

  /** Called for a broadcast that goes on after a pause, as `cancel`. Mails held for another reason stay held. */
  async release(broadcastId: string, limit: number): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `update message set state = 'ready', state_reason = null
       where id in (select id from message where broadcast_id = $1 and state = 'held' and state_reason = $3
         limit $2 for update skip locked)`,
      [broadcastId, limit, PAUSED],
    );
    return count;
  }
}
