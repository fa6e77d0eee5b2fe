import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { EntryTrigger } from './condition.js';
import { ReactionsService, type Beginner } from './reactions.service.js';

/** Hits are stored a little out of order. */
const HITS_LOOKED_AT_AGAIN = 5_000;
/** A hit may be judged anew long after it came. */
const ALL_HITS_EVERY_MS = 3_600_000;
/** Nobody begins with what they clicked longer ago, even if nothing ran since. */
const OLDEST_HIT_MS = 7 * 86_400_000;
const MOST = 500;

type MailEntry = Extract<EntryTrigger, { kind: 'clicked' | 'opened' }>;

/** `since`: from when its hits count. */
type Listener = MailEntry & { since: string };

/**
 * People's opens and clicks that begin a sequence. The first of each sort on a mail is an event, looked at once: `entry_hit`
 * remembers that, and is written here only.
 */
@Injectable()
export class MailEntriesService {
  #seen: { hit: string; allAtMs: number; listeners: string } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Looks at the hits that have come since the last look. Costs one small question where no sequence listens. */
  async take(signal: AbortSignal): Promise<void> {
    const listeners = await this.listeners();
    if (listeners.length === 0) return;
    const now = this.clock.now();
    const name = JSON.stringify(listeners);
    const seen = this.#seen?.listeners === name ? this.#seen : null;
    const isAll = seen === null || Math.abs(now.getTime() - seen.allAtMs) > ALL_HITS_EVERY_MS;
    const newest: { id: string }[] = await this.dataSource.query(
      'select coalesce(max(id), 0) as id from tracking_event',
    );
    const since = isAll ? '0' : String(BigInt(seen.hit) - BigInt(HITS_LOOKED_AT_AGAIN));
    for (let met = MOST; met === MOST && !signal.aborted;)
      met = await this.dataSource.transaction(async (manager) =>
        this.takeSome(manager, { listeners, since, now }),
      );
    if (signal.aborted) return;
    this.#seen = {
      hit: newest[0]?.id ?? '0',
      allAtMs: isAll ? now.getTime() : seen.allAtMs,
      listeners: name,
    };
  }

  private async listeners(): Promise<Listener[]> {
    const rows: { triggers: Listener[] }[] = await this.dataSource.query(
      `select mail_entries as triggers from sequence where mail_entries is not null order by id`,
    );
    return rows.flatMap(({ triggers }) => triggers);
  }

  /**
   * In the transaction that notes the hits, people join or not. Returns how many were found, also by another worker at
   * this moment. Served by the primary keys of `tracking_event` and `message`, and a look at all hits by
   * `tracking_event_reader`.
   */
  private async takeSome(
    manager: EntityManager,
    { listeners, since, now }: { listeners: readonly Listener[]; since: string; now: Date },
  ): Promise<number> {
    const oldest = now.getTime() - OLDEST_HIT_MS;
    const rows: (MailEntry & { people: Beginner[] | null; met: number })[] = await manager.query(TAKE, [
      listeners.map(({ kind }) => kind),
      listeners.map(({ step }) => step),
      listeners.map((one) => one.sequence),
      listeners.map((one) => one.since),
      since,
      MOST,
      new Date(Math.max(oldest, Math.min(...listeners.map((one) => Date.parse(one.since))))),
      listeners.some(({ kind }) => kind === 'opened') ? ['click', 'open'] : ['click'],
    ]);
    for (const { people, kind, step, sequence } of rows)
      if (people !== null) await this.reactions.readMail(manager, people, { kind, step, sequence });
    return rows[0]?.met ?? 0;
  }
}

const TAKE = `
with recent as materialized (
  select message_id, kind, at from tracking_event
  where kind = any($8::text[]) and class = 'human' and subscriber_id is not null and id > $5::bigint and at >= $7::timestamptz),
met as (
  select distinct m.id, l.kind
  from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as l (kind, step, sequence, since)
  join recent e on (e.kind = 'click' or l.kind = 'opened') and e.at >= l.since
  join message m on m.id = e.message_id and m.kind = 'sequence' and m.step_key = l.step and m.funnel_key = l.sequence
  where m.subscriber_id is not null
    and not exists (select 1 from entry_hit h where h.message_id = m.id and h.kind = l.kind)
  order by m.id limit $6),
noted as (
  insert into entry_hit (message_id, kind) select id, kind from met on conflict do nothing returning message_id, kind)
select c.met, n.kind, m.step_key as step, m.funnel_key as sequence,
  jsonb_agg(jsonb_build_object('id', m.subscriber_id::text, 'entryKey', n.kind || ' ' || m.dedupe_key) order by m.id)
    filter (where m.id is not null) as people
from (select count(*)::int as met from met) c left join (noted n join message m on m.id = n.message_id) on true
group by c.met, n.kind, m.step_key, m.funnel_key order by 2, 3, 4`;
