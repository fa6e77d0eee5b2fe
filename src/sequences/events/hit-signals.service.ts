import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { NOT_BEGUN } from '../../delivery/message/message.js';
import { countsAsOpened } from '../../values/counted-hits.js';
import type { MailTrigger } from '../steps/condition.js';
import type { SequenceDefinition } from '../steps/definition.js';
import { LateHitsService } from './late-hits.service.js';
import { mailTriggersOf } from './reactions.js';
import { ReactionsService } from './reactions.service.js';

/** Hits are stored a little out of order, and judged anew a little later: those of so many of the latest that are new. */
const LATEST_HITS = 5_000;
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

/** Enrollments, and what has happened in them. */
interface Heard {
  ids: string[];
  trigger: MailTrigger;
}

/** People's opens and clicks that end their sequence or take them to a goal. */
@Injectable()
export class HitSignalsService {
  #listeners: Listener[] = [];
  /** Versions never change: only newer ones are read. */
  #versionsUpTo = '0';
  /** Of the latest hits, those that have been looked at; null: none by this process. */
  #seen: ReadonlySet<string> | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    private readonly late: LateHitsService,
  ) {}

  /** Looks at each hit when it has come. Costs two small questions where no sequence listens. */
  async take(): Promise<void> {
    const knew = this.#versionsUpTo;
    await this.learn();
    const upTo = this.#versionsUpTo;
    const look = await this.late.look('exits');
    if (this.#listeners.length === 0) {
      await look?.done(upTo);
      return;
    }
    const latest = await this.latest();
    const seen = this.#seen ?? latest;
    await this.tell(await this.heardOf([...latest].filter((id) => !seen.has(id))));
    if (look !== null) {
      for await (const ids of look.pages()) await this.tell(await this.heardOf(ids));
      await this.tell(await this.heardBefore(look.known ?? '0'));
      await look.done(upTo);
    } else await this.tell(await this.heardBefore(knew));
    this.#seen = latest;
  }

  private async tell(heard: readonly Heard[]): Promise<void> {
    for (const { ids, trigger } of heard)
      await this.dataSource.transaction(async (manager) => this.reactions.metIn(manager, ids, trigger));
  }

  /** Those of the latest hits that count. By the primary key of `tracking_event`. */
  private async latest(): Promise<Set<string>> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select e.id from tracking_event e where e.id > (select max(id) from tracking_event) - $1::int and ${countsAsOpened('e')}`,
      [LATEST_HITS],
    );
    return new Set(rows.map(({ id }) => id));
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
    }
  }

  /**
   * Whose sequence listens for one of the hits. Of those that are over, the ones with a mail that waits: what ends a sequence
   * stops it. Served by the primary keys of `tracking_event`, `message` and `enrollment` and by `message_subscriber`.
   */
  private async heardOf(hits: readonly string[]): Promise<Heard[]> {
    if (hits.length === 0) return [];
    return this.heard(
      this.#listeners,
      `unnest($5::bigint[]) h (id) on true join tracking_event e on e.id = h.id
       join message m on m.id = e.message_id and m.step_key = l.step
       join (select id, version_id, subscriber_id, status <> 'active' as is_over from enrollment) n
         on n.id = m.enrollment_id and n.version_id = l.version_id and (not n.is_over or ${WAITS})`,
      hits,
    );
  }

  /**
   * As `heardOf`, for any hit, of those whose version is new since version `known`, or who were moved to such a one: what
   * they did before nobody has listened for. Served by `message_dedupe_key_key` and what serves `WAITING`.
   */
  private async heardBefore(known: string): Promise<Heard[]> {
    const newer = this.#listeners.filter(({ versionId }) => BigInt(versionId) > BigInt(known));
    if (newer.length === 0) return [];
    return this.heard(
      newer,
      `(select id, version_id, false as is_over from enrollment where status = 'active'
         union all select o.id, o.version_id, true from enrollment o where o.status <> 'active' and o.id in (${WAITING})) n
         on n.version_id = l.version_id
       join message m on m.dedupe_key = 'seq:' || n.id || ':' || l.step join tracking_event e on e.message_id = m.id`,
    );
  }

  private async heard(
    listeners: readonly Listener[],
    hits: string,
    ids?: readonly string[],
  ): Promise<Heard[]> {
    const rows: { ids: string[]; kind: MailTrigger['kind']; step: string }[] = await this.dataSource.query(
      `select array_agg(distinct n.id::text) as ids, l.kind, l.step
       from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as l (version_id, kind, step, goal)
       join ${hits}
       where (e.kind = 'click' or l.kind = 'opened') and (l.goal is null or not n.is_over)
         and ${countsAsOpened('e')} and not exists (
         select 1 from enrollment_step o where o.enrollment_id = n.id and o.step_key = l.goal and o.outcome = 'reached')
       group by l.kind, l.step order by l.kind, l.step`,
      [
        listeners.map(({ versionId }) => versionId),
        listeners.map(({ trigger }) => trigger.kind),
        listeners.map(({ trigger }) => trigger.step),
        listeners.map(({ goal }) => goal),
        ...(ids === undefined ? [] : [ids]),
      ],
    );
    return rows.map(({ ids: enrollments, kind, step }) => ({ ids: enrollments, trigger: { kind, step } }));
  }
}
