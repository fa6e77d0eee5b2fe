import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

const READ_AT_ONCE = 20_000;
const MOVED_AT_ONCE = 2_000;

/** Puts mails that are planned already into another lane, when more is known of who takes them. */
@Injectable()
export class LaneMoves {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * What waits in a sender's lane of all others and goes to one of these domains, into their lane `to`; returns how many. Called when a domain was looked up and when one receiver asks for less; reads what is ready in
   * those lanes, by `message_ready`. Locks the rows it moves and waits for none: one that a worker has just claimed goes as
   * it was planned.
   */
  async move(domains: readonly string[], to: string): Promise<number> {
    const lanes = await this.lanesOfOthers();
    let moved = 0;
    while (lanes.length > 0) {
      const rows: { id: string }[] = await this.dataSource.query(
        `select m.id from message m where m.state = 'ready' and m.lane_key = any($1::text[])
           and substring(lower(m.address) from '[^@]*$') = any($2::text[]) limit ${READ_AT_ONCE}`,
        [lanes, domains],
      );
      const before = moved;
      for (let from = 0; from < rows.length; from += MOVED_AT_ONCE)
        moved += await this.put(rows.slice(from, from + MOVED_AT_ONCE), to);
      if (rows.length < READ_AT_ONCE || moved === before) break;
    }
    return moved;
  }

  private async put(rows: readonly { id: string }[], to: string): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `with waiting as (select m.id from message m where m.id = any($1::bigint[]) and m.state = 'ready' order by m.id
         for update skip locked)
       update message m set lane_key = split_part(m.lane_key, '|', 1) || '|' || $2::text from waiting w
       where m.id = w.id and split_part(m.lane_key, '|', 2) = 'other' and split_part(m.lane_key, '|', 3) = ''`,
      [rows.map(({ id }) => id), to],
    );
    return count;
  }

  /** One look-up in `message_ready` for each lane in which anything is ready. */
  private async lanesOfOthers(): Promise<string[]> {
    const rows: { key: string }[] = await this.dataSource.query(
      `with recursive lane as (
         (select lane_key as key from message where state = 'ready' order by lane_key limit 1)
         union all
         select (select m.lane_key from message m where m.state = 'ready' and m.lane_key > lane.key order by m.lane_key limit 1)
         from lane where lane.key is not null)
       select key from lane where key like '%|other'`,
    );
    return rows.map(({ key }) => key);
  }
}
