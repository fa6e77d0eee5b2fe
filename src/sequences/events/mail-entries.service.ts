import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { countsAsOpened } from '../../values/counted-hits.js';
import type { EntryTrigger } from '../steps/condition.js';
import { LateHitsService } from './late-hits.service.js';
import { ReactionsService, type Beginner } from './reactions.service.js';
import { HITS_LOOKED_AT_AGAIN } from './look-mark.js';

/** Nobody begins with what they clicked longer ago, even if nothing ran since. */
const OLDEST_HIT_MS = 7 * 86_400_000;
const MOST = 500;

type MailEntry = Extract<EntryTrigger, { kind: 'clicked' | 'opened' }>;

/** `since`: from when its hits count. */
type Listener = MailEntry & { since: string };

/** Those above an id, or the ones with some. */
type Hits = { above: string } | { ids: readonly string[] };

interface About {
  listeners: readonly Listener[];
  now: Date;
}

/**
 * People's opens and clicks that begin a sequence. The first of each sort on a mail is an event, looked at once: `entry_hit`
 * remembers that, and is written here only.
 */
@Injectable()
export class MailEntriesService {
  #seen: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    private readonly late: LateHitsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Looks at the hits that have come since the last look. Costs two small questions where no sequence listens. */
  async take(signal: AbortSignal): Promise<void> {
    const listeners = await this.listeners();
    const look = await this.late.look('entries');
    if (listeners.length === 0) {
      await look?.done(null);
      return;
    }
    const now = this.clock.now();
    const name = JSON.stringify(listeners);
    const newest: { id: string }[] = await this.dataSource.query(
      'select coalesce(max(id), 0) as id from tracking_event',
    );
    if (look !== null) {
      // What a sequence that is new counts may have come before anybody listened.
      if (look.known !== name) await this.takeAll({ above: '0' }, { listeners, now, signal });
      else for await (const ids of look.pages()) await this.takeAll({ ids }, { listeners, now, signal });
      if (signal.aborted) return;
      await look.done(name);
    }
    if (this.#seen !== null)
      await this.takeAll(
        { above: String(BigInt(this.#seen) - BigInt(HITS_LOOKED_AT_AGAIN)) },
        { listeners, now, signal },
      );
    if (!signal.aborted) this.#seen = newest[0]?.id ?? '0';
  }

  private async takeAll(hits: Hits, { signal, ...about }: About & { signal: AbortSignal }): Promise<void> {
    for (let met = MOST; met === MOST && !signal.aborted;)
      met = await this.dataSource.transaction(async (manager) => this.takeSome(manager, hits, about));
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
  private async takeSome(manager: EntityManager, hits: Hits, { listeners, now }: About): Promise<number> {
    const oldest = now.getTime() - OLDEST_HIT_MS;
    const rows: (MailEntry & { people: Beginner[] | null; met: number })[] = await manager.query(
      taken(hits),
      [
        listeners.map(({ kind }) => kind),
        listeners.map(({ step }) => step),
        listeners.map((one) => one.sequence),
        listeners.map((one) => one.since),
        'ids' in hits ? hits.ids : hits.above,
        MOST,
        new Date(Math.max(oldest, Math.min(...listeners.map((one) => Date.parse(one.since))))),
        listeners.some(({ kind }) => kind === 'opened') ? ['click', 'open'] : ['click'],
      ],
    );
    for (const { people, kind, step, sequence } of rows)
      if (people !== null) await this.reactions.readMail(manager, people, { kind, step, sequence });
    return rows[0]?.met ?? 0;
  }
}

const taken = (hits: Hits): string => `
with recent as materialized (
  select message_id, kind, at from tracking_event e
  where kind = any($8::text[]) and ${countsAsOpened('e')} and subscriber_id is not null and ${'ids' in hits ? 'id = any ($5::bigint[])' : 'id > $5::bigint'} and at >= $7::timestamptz),
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
