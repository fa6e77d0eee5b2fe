import { domainSql } from '../../values/email-address.js';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

const READ_AT_ONCE = 5_000;
const MOVED_AT_ONCE = 2_000;
/** A million mails are read in less. */
const LONGEST_MS = 60_000;
const START: Place = { priority: -32_768, dueAt: '-infinity', id: '0' };

/** Where a walk along `message_ready` is. */
interface Place {
  priority: number;
  dueAt: string;
  id: string;
}

interface Page {
  ids: string[] | null;
  queues: string[] | null;
  last: Place | null;
}

/** Puts mails that are planned already into another queue, when more is known of who takes them. */
@Injectable()
export class QueueMoves {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * What waits in a sender's queue of all others and goes to one of the domains that `to` names, into their queue there; returns
   * how many. Called when a domain was looked up and when one receiver asks for less. Reads each mail that is ready in those
   * queues once, by `message_ready`, for a minute at most and until `signal` says so: what is left goes as it was planned. Locks
   * the rows it moves and waits for none: one that a worker has just claimed goes as it was planned.
   */
  async move(to: ReadonlyMap<string, string>, { signal }: { signal?: AbortSignal } = {}): Promise<number> {
    if (to.size === 0 || signal?.aborted) return 0;
    const inTime = AbortSignal.any([AbortSignal.timeout(LONGEST_MS), ...(signal ? [signal] : [])]);
    let moved = 0;
    for (const queue of await this.queuesOfOthers()) {
      let place: Place | null = START;
      while (place !== null && !inTime.aborted) {
        const page = await this.read(queue, place, to);
        const { ids, queues } = page;
        for (let from = 0; ids && queues && from < ids.length; from += MOVED_AT_ONCE)
          moved += await this.put(
            ids.slice(from, from + MOVED_AT_ONCE),
            queues.slice(from, from + MOVED_AT_ONCE),
          );
        place = page.last;
      }
    }
    return moved;
  }

  /** The next ones of a queue: which of them go to one of the domains, and where the page ends; null when there are no more. */
  private async read(
    queue: string,
    { priority, dueAt, id }: Place,
    to: ReadonlyMap<string, string>,
  ): Promise<Page> {
    const [page]: Page[] = await this.dataSource.query(
      `with page as materialized (select m.id, m.priority, m.due_at, ${domainSql('lower(m.address)')} as domain
         from message m where m.state = 'ready' and m.lane_key = $1 and (m.priority, m.due_at, m.id) > ($2, $3, $4)
         order by m.priority, m.due_at, m.id limit ${READ_AT_ONCE}),
       going as (select p.id, u.queue from page p
         join unnest($5::text[], $6::text[]) as u (domain, queue) on u.domain = p.domain)
       select (select array_agg(id::text order by id) from going) as ids,
         (select array_agg(queue order by id) from going) as queues,
         (select jsonb_build_object('priority', priority, 'dueAt', due_at, 'id', id::text) from page
          order by priority, due_at, id offset ${READ_AT_ONCE - 1}) as last`,
      [queue, priority, dueAt, id, [...to.keys()], [...to.values()]],
    );
    return page ?? { ids: null, queues: null, last: null };
  }

  private async put(ids: readonly string[], queues: readonly string[]): Promise<number> {
    const [, count]: [unknown[], number] = await this.dataSource.query(
      `with waiting as (select m.id from message m where m.id = any($1::bigint[]) and m.state = 'ready' order by m.id
         for update skip locked)
       update message m set lane_key = split_part(m.lane_key, '|', 1) || '|' || u.queue
       from waiting w join unnest($1::bigint[], $2::text[]) as u (id, queue) on u.id = w.id
       where m.id = w.id and split_part(m.lane_key, '|', 2) = 'other' and split_part(m.lane_key, '|', 3) = ''`,
      [ids, queues],
    );
    return count;
  }

  /** One look-up in `message_ready` for each queue in which anything is ready. */
  private async queuesOfOthers(): Promise<string[]> {
    const rows: { key: string }[] = await this.dataSource.query(
      `with recursive queue as (
         (select lane_key as key from message where state = 'ready' order by lane_key limit 1)
         union all
         select (select m.lane_key from message m where m.state = 'ready' and m.lane_key > queue.key order by m.lane_key limit 1)
         from queue where queue.key is not null)
       select key from queue where key like '%|other'`,
    );
    return rows.map(({ key }) => key);
  }
}
