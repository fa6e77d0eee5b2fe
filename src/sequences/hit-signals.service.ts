import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { NOT_BEGUN } from '../delivery/message.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { MailTrigger } from './condition.js';
import type { SequenceDefinition } from './definition.js';
import { mailTriggersOf } from './reactions.js';
import { ReactionsService } from './reactions.service.js';

/** Hits are stored a little out of order. */
const HITS_LOOKED_AT_AGAIN = 5_000;
/** A hit may be judged anew long after it came. */
const ALL_HITS_EVERY_MS = 3_600_000;

/** The enrollments with a mail that waits, each state by a partial index of its own. */
const WAITING = ['ready', 'held', 'leased']
  .map((state) => `select enrollment_id from message where state = '${state}' and ${NOT_BEGUN}`)
  .join(' union all ');
/** Whether enrollment `n` has one; a scalar, or PostgreSQL may read all mails that wait to answer it. */
const WAITS = `(select true from message w where w.subscriber_id = n.subscriber_id and w.enrollment_id = n.id and ${NOT_BEGUN} limit 1)`;

/** An open or click that one version listens for. */
interface Listener {
  versionId: string;
  trigger: MailTrigger;
  goal: string | null;
}

/** People's opens and clicks that end their sequence or take them to a goal. */
@Injectable()
export class HitSignalsService {
  #listeners: Listener[] = [];
  /** Versions never change: only newer ones are read. */
  #versionsUpTo = '0';
  #seen: { hit: string; allAtMs: number } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Looks at the hits that have come since the last look. Costs one small question where no sequence listens. */
  async take(): Promise<void> {
    await this.learn();
    if (this.#listeners.length === 0) return;
    const now = this.clock.now().getTime();
    const seen = this.#seen;
    const isAll = seen === null || Math.abs(now - seen.allAtMs) > ALL_HITS_EVERY_MS;
    const newest: { id: string }[] = await this.dataSource.query(
      'select coalesce(max(id), 0) as id from tracking_event',
    );
    for (const { ids, trigger } of await this.heard(isAll ? null : seen.hit))
      await this.dataSource.transaction(async (manager) => this.reactions.metIn(manager, ids, trigger));
    this.#seen = { hit: newest[0]?.id ?? '0', allAtMs: isAll ? now : seen.allAtMs };
  }

  private async learn(): Promise<void> {
    const rows: { id: string; definition: SequenceDefinition | null }[] = await this.dataSource.query(
      `select id, case when definition @? '$.exits[*] ? (@.kind == "clicked" || @.kind == "opened")'
         or definition @? '$.nodes[*].triggers[*] ? (@.kind == "clicked" || @.kind == "opened")' then definition end as definition
       from sequence_version where id > $1 order by id`,
      [this.#versionsUpTo],
    );
    for (const { id, definition } of rows) {
      this.#versionsUpTo = id;
      if (definition === null) continue;
      this.#listeners.push(...mailTriggersOf(definition).map((one) => ({ ...one, versionId: id })));
      this.#seen = null;
    }
  }

  /**
   * Whose sequence listens for a hit after `since`, or for any (null). Of those that are over, the ones with a mail that
   * waits: what ends a sequence stops it. Served by the primary keys of `tracking_event`, `message` and `enrollment` and by
   * `message_subscriber`; for any, by `message_dedupe_key_key` and what serves `WAITING`.
   */
  private async heard(since: string | null): Promise<{ ids: string[]; trigger: MailTrigger }[]> {
    const listeners = this.#listeners;
    const hits =
      since === null
        ? `(select id, version_id, false as is_over from enrollment where status = 'active'
             union all select o.id, o.version_id, true from enrollment o where o.status <> 'active' and o.id in (${WAITING})) n
             on n.version_id = l.version_id
           join message m on m.dedupe_key = 'seq:' || n.id || ':' || l.step join tracking_event e on e.message_id = m.id`
        : `tracking_event e on e.id > $5::bigint join message m on m.id = e.message_id and m.step_key = l.step
           join (select id, version_id, subscriber_id, status <> 'active' as is_over from enrollment) n
             on n.id = m.enrollment_id and n.version_id = l.version_id and (not n.is_over or ${WAITS})`;
    const rows: { ids: string[]; kind: MailTrigger['kind']; step: string }[] = await this.dataSource.query(
      `select array_agg(distinct n.id::text) as ids, l.kind, l.step
       from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as l (version_id, kind, step, goal)
       join ${hits}
       where e.kind = case l.kind when 'clicked' then 'click' else 'open' end and (l.goal is null or not n.is_over)
         and e.class = 'human' and e.id > $5::bigint and not exists (
         select 1 from enrollment_step o where o.enrollment_id = n.id and o.step_key = l.goal and o.outcome = 'reached')
       group by l.kind, l.step order by l.kind, l.step`,
      [
        listeners.map(({ versionId }) => versionId),
        listeners.map(({ trigger }) => trigger.kind),
        listeners.map(({ trigger }) => trigger.step),
        listeners.map(({ goal }) => goal),
        since === null ? '0' : String(BigInt(since) - BigInt(HITS_LOOKED_AT_AGAIN)),
      ],
    );
    return rows.map(({ ids, kind, step }) => ({ ids, trigger: { kind, step } }));
  }
}
