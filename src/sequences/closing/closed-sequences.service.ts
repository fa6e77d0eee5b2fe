import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { MINUTE_MS } from '../../values/time-units.js';
import { ReactionsService } from '../events/reactions.service.js';
import { EXIT } from '../steps/exit-reasons.js';

/** Ends who is in the sequences of funnels that were put away. */
export const END_CLOSED = 'sequences.end-closed';

/** So many people in one transaction: others wait for none of them for long. */
const BATCH = 1_000;
/** Who was joining when it was closed has joined by then. */
const LOOKED_AT_FOR_MS = 10 * MINUTE_MS;

/** Sequences that nobody joins, as their funnel is archived. Who is in them goes on, or is ended by the job. */
@Injectable()
export class ClosedSequences {
  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    private readonly messages: MessagesService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** In force when the caller's transaction commits. */
  async close(
    manager: EntityManager,
    funnelKey: string,
    { endsPeople }: { endsPeople: boolean },
  ): Promise<void> {
    await manager.query('update sequence set closed_at = $2, ends_people = $3 where funnel_key = $1', [
      funnelKey,
      this.clock.now(),
      endsPeople,
    ]);
    if (endsPeople) await this.wake.notify(manager, END_CLOSED);
  }

  /** Who was ended stays so. */
  async open(manager: EntityManager, funnelKey: string): Promise<void> {
    await manager.query('update sequence set closed_at = null, ends_people = false where funnel_key = $1', [
      funnelKey,
    ]);
  }

  /** How many are in them. */
  async peopleIn(funnelKey: string): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::int as count from enrollment e join sequence q on q.id = e.sequence_id
       where q.funnel_key = $1 and e.status = 'active'`,
      [funnelKey],
    );
    return rows[0]?.count ?? 0;
  }

  /** Keys of the funnels whose sequences have a step that moves people there: once it is closed, they end at that step. */
  async leadIn(funnelKey: string): Promise<string[]> {
    const rows: { key: string }[] = await this.dataSource.query(
      `select distinct other.funnel_key as key from sequence other join sequence_version v on v.id = other.current_version_id
         join sequence q on q.funnel_key = $1
       where other.funnel_key <> $1 and other.closed_at is null
         and v.definition -> 'nodes' @> jsonb_build_array(jsonb_build_object('kind', 'move', 'sequence', q.key)) order by 1`,
      [funnelKey],
    );
    return rows.map(({ key }) => key);
  }

  /** Goes on where it ended, also after a crash. Reads the enrollments of a sequence once. */
  async endPeople(signal: AbortSignal): Promise<void> {
    const closed: { id: string; funnelKey: string; closedAt: Date }[] = await this.dataSource.query(
      'select id, funnel_key as "funnelKey", closed_at as "closedAt" from sequence where ends_people order by id',
    );
    for (const { id, funnelKey, closedAt } of closed) {
      let last: string | null = '0';
      while (last !== null && !signal.aborted) last = await this.endSome(id, last);
      last = '0';
      while (last !== null && !signal.aborted) last = await this.cancelSome({ id, funnelKey }, last);
      const isOver = this.clock.now().getTime() - closedAt.getTime() > LOOKED_AT_FOR_MS;
      if (isOver && !signal.aborted)
        // One that was closed anew meanwhile is looked at from then on.
        await this.dataSource.query(
          'update sequence set ends_people = false where id = $1 and closed_at = $2',
          [id, closedAt],
        );
    }
  }

  /** Null when there are no more behind them. */
  private async endSome(sequenceId: string, after: string): Promise<string | null> {
    return this.dataSource.transaction(async (manager) => {
      const rows: { id: string }[] = await manager.query(
        `select e.id from enrollment e join sequence q on q.id = e.sequence_id and q.ends_people
         where e.sequence_id = $1 and e.status = 'active' and e.id > $2 order by e.id limit $3 for update of e`,
        [sequenceId, after, BATCH],
      );
      const ids = rows.map(({ id }) => id);
      await this.reactions.endAll(manager, ids, EXIT.archived());
      return ids.at(-1) ?? null;
    });
  }

  /** Mails that wait for who is through the sequence already; none where it was brought back meanwhile. Served by message_funnel. */
  private async cancelSome(
    { id: sequenceId, funnelKey }: { id: string; funnelKey: string },
    after: string,
  ): Promise<string | null> {
    return this.dataSource.transaction(async (manager) => {
      const rows: { id: string; key: string }[] = await manager.query(
        `select id, dedupe_key as key from message where funnel_key = $1 and kind = 'sequence' and state in ('ready', 'held')
           and id > $2 and exists (select from sequence where id = $4 and ends_people) order by id limit $3`,
        [funnelKey, after, BATCH, sequenceId],
      );
      await this.messages.cancelPlanned(
        manager,
        rows.map(({ key }) => key),
        EXIT.archived(),
      );
      return rows.at(-1)?.id ?? null;
    });
  }
}
