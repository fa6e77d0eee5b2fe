import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Sender } from '../delivery/message/message.js';
import { listenForFields } from '../subscribers/field-signals.queries.js';
import { listenForLists, listenForTags } from '../subscribers/tag-signals.queries.js';
import { ExperimentsService } from '../experiments/experiments.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { testAt, type SequenceDefinition } from './steps/definition.js';
import { fieldsAskedBy, listsAskedBy, tagsAskedBy } from './steps/prepared.js';

export interface SequenceRow {
  id: string;
  key: string;
  funnelKey: string;
  title: string;
  version: number;
  active: number;
  updatedAt: Date;
}

export interface EnrollmentRow {
  id: string;
  sequenceKey: string;
  subscriberId: string;
  status: string;
  exitReason: string | null;
  stepKey: string | null;
  nextAt: Date | null;
  startedAt: Date;
  endedAt: Date | null;
}

/** Sequences and their versions. Who is enrolled stays with the version they joined. */
@Injectable()
export class SequencesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly experiments: ExperimentsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Returns the id. What an earlier version said is that version again, so that who joined it then is not in an old one. */
  async publish(
    manager: EntityManager,
    sequence: {
      key: string;
      funnelKey: string;
      title: string;
      sender: Sender;
      definition: SequenceDefinition;
    },
  ): Promise<string> {
    const { key, funnelKey, title, sender, definition } = sequence;
    const now = this.clock.now();
    const json = JSON.stringify(definition);
    const hash = createHash('sha256').update(json).digest();
    const rows: { id: string; current: string | null; versionId: string | null; last: number }[] =
      await manager.query(
        `with saved as (
         insert into sequence (key, funnel_key, title, sender, created_at, updated_at) values ($1, $2, $3, $4, $5, $5)
         on conflict (key) do update set title = excluded.title, sender = excluded.sender, updated_at = excluded.updated_at
         returning id, current_version_id as current)
       select s.id, s.current, v.id as "versionId",
         (select coalesce(max(l.version), 0) from sequence_version l where l.sequence_id = s.id) as last
       from saved s left join sequence_version v on v.sequence_id = s.id and v.definition_hash = $6
       order by v.version desc limit 1`,
        [key, funnelKey, title, JSON.stringify(sender), now, hash],
      );
    const saved = rows[0];
    if (!saved) throw new Error(`sequence ${key} was not written`);
    if (saved.versionId !== null && saved.versionId === saved.current) return saved.id;
    await listenForTags(manager, tagsAskedBy(definition));
    await listenForLists(manager, listsAskedBy(definition));
    await listenForFields(manager, fieldsAskedBy(definition));
    await this.listenForMails(manager, saved.id, definition);
    for (const node of definition.nodes) {
      const split = testAt(node);
      if (split === undefined) continue;
      const { experiment, test, terms } = split;
      await this.experiments.open(manager, { key: experiment, test, funnelKey, stepKey: node.key, terms });
    }
    if (saved.versionId === null) {
      await manager.query(
        `with made as (
           insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
           values ($1, $2, $3, $4, $5) returning id)
         update sequence set current_version_id = made.id from made where sequence.id = $1`,
        [saved.id, saved.last + 1, json, hash, now],
      );
    } else {
      await manager.query('update sequence set current_version_id = $2 where id = $1', [
        saved.id,
        saved.versionId,
      ]);
    }
    return saved.id;
  }

  /** Opens and clicks that begin the sequence count from when it first listened for them, whatever else it listens for since. */
  private async listenForMails(
    manager: EntityManager,
    sequenceId: string,
    { enterOn = [] }: SequenceDefinition,
  ): Promise<void> {
    const mails = enterOn.filter(({ kind }) => kind === 'clicked' || kind === 'opened');
    await manager.query(
      `update sequence q set mail_entries = (
         select jsonb_agg(t || jsonb_build_object('since', coalesce(
           (select o -> 'since' from jsonb_array_elements(q.mail_entries) o where o - 'since' = t limit 1), to_jsonb($3::timestamptz))))
         from jsonb_array_elements($2::jsonb) t)
       where id = $1`,
      [sequenceId, JSON.stringify(mails), this.clock.now()],
    );
  }

  /** Null when there is none. Unlike `list`, looks at no enrollment. */
  async find(id: string): Promise<(Pick<SequenceRow, 'key' | 'funnelKey'> & { isClosed: boolean }) | null> {
    const rows: (Pick<SequenceRow, 'key' | 'funnelKey'> & { isClosed: boolean })[] =
      await this.dataSource.query(
        'select key, funnel_key as "funnelKey", closed_at is not null as "isClosed" from sequence where id = $1',
        [id],
      );
    return rows[0] ?? null;
  }

  async list(page: {
    id?: string | undefined;
    beforeId?: string | undefined;
    limit: number;
  }): Promise<SequenceRow[]> {
    return this.dataSource.query(
      `select q.id, q.key, q.funnel_key as "funnelKey", q.title, v.version, q.updated_at as "updatedAt",
         coalesce(e.active, 0) as active
       from sequence q join sequence_version v on v.id = q.current_version_id
       left join (select sequence_id, count(*)::int as active from enrollment where status = 'active' group by 1) e
         on e.sequence_id = q.id
       where ($1::bigint is null or q.id < $1) and ($3::bigint is null or q.id = $3) order by q.id desc limit $2`,
      [page.beforeId ?? null, page.limit, page.id ?? null],
    );
  }

  async enrollments(page: {
    id?: string | undefined;
    subscriberId?: string | undefined;
    beforeId?: string | undefined;
    limit: number;
  }): Promise<EnrollmentRow[]> {
    return this.dataSource.query(
      `select e.id, q.key as "sequenceKey", e.subscriber_id as "subscriberId", e.status, e.exit_reason as "exitReason",
         e.step_key as "stepKey", e.next_at as "nextAt", e.started_at as "startedAt", e.ended_at as "endedAt"
       from enrollment e join sequence q on q.id = e.sequence_id
       where ($1::bigint is null or e.subscriber_id = $1) and ($2::bigint is null or e.id < $2)
         and ($4::bigint is null or e.id = $4) order by e.id desc limit $3`,
      [page.subscriberId ?? null, page.beforeId ?? null, page.limit, page.id ?? null],
    );
  }
}
