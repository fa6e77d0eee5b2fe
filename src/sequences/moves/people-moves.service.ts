import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { forgetKnown } from '../events/late-hits.service.js';
import { ADVANCE_DUE } from '../enrollments/enrolling.service.js';
import { finishedAndHeld, heldByExits, isLastTime, movable } from './finished-people.queries.js';
import { groupsOfMove } from './move-groups.queries.js';
import { isMail } from '../steps/definition.js';
import { passesOverOwners } from '../offers/owned-offer.js';
import { MoveCount, type MovePreview, type StepOwners, type StepStanding } from './move-count.js';
import { ownersOf } from '../offers/owners.queries.js';
import { placeIn, type DoneStep, type MoveMode, type Placement, type Standing } from './placement.js';
import { offersOf, type PreparedSequence } from '../steps/prepared.js';
import { WaitingMails } from './waiting-mails.service.js';
import { VersionsService } from '../advance/versions.service.js';

const PAGE = 1_000;

/**
 * In SQL, when mail `m` went or is to go, which is long after it was written where a pause or a limit has kept it; of one that does
 * not go when it was written.
 */
const WENT_AT = `greatest(m.created_at, coalesce(m.accepted_at, m.data_at, case when m.state in ('ready', 'leased') then m.due_at end))`;

/** Conditions follow. */
const ROWS = `
  select e.id, e.subscriber_id as "subscriberId", e.version_id as "versionId", e.status, e.step_key as "stepKey", e.next_at as "nextAt", e.had,
    e.started_at as "startedAt", e.ended_at as "endedAt", s.time_zone as "timeZone", (
      select jsonb_agg(jsonb_build_object('key', d.key, 'outcome', d.outcome, 'atMs', extract(epoch from d.at) * 1000,
          'wentMs', extract(epoch from d.went) * 1000)) from (
        select m.step_key as key, 'ran' as outcome, m.created_at as at, ${WENT_AT} as went from message m
          where m.subscriber_id = e.subscriber_id and m.enrollment_id = e.id and m.step_key is not null
        union all select o.step_key, o.outcome, o.at, o.at from enrollment_step o where o.enrollment_id = e.id) d) as done
  from enrollment e join subscriber s on s.id = e.subscriber_id where`;

interface Row extends Omit<Standing, 'timeZone' | 'done'> {
  id: string;
  subscriberId: string;
  versionId: string;
  timeZone: string | null;
  done: { key: string; outcome: string; atMs: number; wentMs: number }[] | null;
}

interface Target {
  versionId: string;
  version: number;
  to: PreparedSequence;
}

interface CountedMove {
  preview: MovePreview;
  standings: StepStanding[];
}

interface AppliedMove extends CountedMove {
  /** As `preview`, of those alone who had joined by the time that was named; null when none was. */
  joined: MovePreview | null;
}

/** Counts those who had joined by a time. */
interface Joined {
  by: Date;
  count: MoveCount;
}

/** `overtaken`: a newer version was published meanwhile, so that who was not moved yet is still where they were. */
type MoveResult = MovePreview & { overtaken: boolean };

type Move = { id: string } & Extract<Placement, { kind: 'goes' }>;

/** Takes people to the present version of their sequence, as its owner chooses. Until then they stay in theirs. */
@Injectable()
export class PeopleMovesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly versions: VersionsService,
    private readonly mails: WaitingMails,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What `apply` would do now; writes nothing. Throws `SEQUENCE_NOT_FOUND` and `STEP_NOT_FOUND`. */
  async preview(sequenceId: string, mode: MoveMode): Promise<MovePreview> {
    return this.dataSource.transaction(
      async (manager) => (await this.previewWithin(manager, sequenceId, mode)).preview,
    );
  }

  /**
   * As `preview`, of what the caller's transaction has published; with how people stand to some steps of it. Looks at one
   * of each group of people who are alike.
   */
  async previewWithin(
    manager: EntityManager,
    sequenceId: string,
    mode: MoveMode,
    steps: readonly string[] = [],
  ): Promise<CountedMove> {
    const target = await this.target(manager, sequenceId, mode);
    const count = new MoveCount(steps, await this.owners(manager, sequenceId, target));
    const without =
      mode.kind === 'catch-up'
        ? await finishedAndHeld(manager, { sequenceId, ...target, since: mode.since }, this.clock.now())
        : [];
    count.stay('exit_holds', without.length);
    const groups = await groupsOfMove(manager, { sequenceId, ...target, mode, without });
    const sizes = new Map(groups.map(({ id, people }) => [id, people]));
    for (let from = 0; from < groups.length; from += PAGE) {
      const ids = groups.slice(from, from + PAGE).map(({ id }) => id);
      const rows: Row[] = await manager.query(`${ROWS} e.id = any ($1::bigint[]) order by e.id`, [ids]);
      await this.place(manager, { rows, to: target.to, mode, count, sizes });
    }
    return { preview: count.result(target.version), standings: count.standings() };
  }

  /**
   * As `apply`, all in the caller's transaction: it happens with what else is done there or not at all. `joinedBy`: who had
   * joined by then is counted once more, apart from those who came since.
   */
  async applyWithin(
    manager: EntityManager,
    sequenceId: string,
    mode: MoveMode,
    { steps = [], joinedBy }: { steps?: readonly string[]; joinedBy?: Date | undefined } = {},
  ): Promise<AppliedMove> {
    const target = await this.target(manager, sequenceId, mode);
    const owners = await this.owners(manager, sequenceId, target);
    const count = new MoveCount(steps, owners);
    // By the same owners as the plan counts, or who gets a mail for sure differs, and the plan is refused.
    const joined = joinedBy === undefined ? undefined : { by: joinedBy, count: new MoveCount([], owners) };
    for (let after: string | null = '0'; after !== null;)
      after = await this.movePage(manager, { sequenceId, target, after, mode, count, joined });
    await this.mails.rewriteLast(
      manager,
      target.to,
      await this.mails.last(manager, { sequenceId, ...target }),
    );
    const preview = count.result(target.version);
    return { preview, standings: count.standings(), joined: joined?.count.result(target.version) ?? null };
  }

  /**
   * Moves people, a thousand in one transaction each; done again after a crash, it goes on where it ended. Stops when
   * another version becomes the present one. Returns what it did. Throws as `preview`.
   */
  async apply(sequenceId: string, mode: MoveMode): Promise<MoveResult> {
    const target = await this.target(this.dataSource.manager, sequenceId, mode);
    const count = new MoveCount([], await this.owners(this.dataSource.manager, sequenceId, target));
    let overtaken = false;
    for (let after: string | null = '0'; after !== null;) {
      const start: string = after;
      after = await this.dataSource.transaction(async (manager) => {
        overtaken = !(await this.holdVersion(manager, sequenceId, target));
        return overtaken ? null : this.movePage(manager, { sequenceId, target, after: start, mode, count });
      });
    }
    const last = await this.mails.last(this.dataSource.manager, { sequenceId, ...target });
    for (let from = 0; from < last.length && !overtaken; from += PAGE)
      await this.dataSource.transaction(async (manager) => {
        overtaken = !(await this.holdVersion(manager, sequenceId, target));
        if (!overtaken) await this.mails.rewriteLast(manager, target.to, last.slice(from, from + PAGE));
      });
    return { ...count.result(target.version), overtaken };
  }

  /** Costs nothing where no step offers anything. */
  private async owners(
    manager: EntityManager,
    sequenceId: string,
    { versionId, to }: Target,
  ): Promise<StepOwners[]> {
    const mails = to.definition.nodes.filter(isMail);
    const asked = mails.flatMap((node) => offersOf(node).map((slug) => ({ node, slug })));
    if (asked.length === 0) return [];
    const slugs = [...new Set(asked.map(({ slug }) => slug))];
    const found = await ownersOf(manager, { sequenceId, versionId, slugs, now: this.clock.now() });
    return asked.flatMap(({ node, slug }) =>
      found
        .filter((one) => one.slug === slug && passesOverOwners(node, one.product, to))
        .map(({ product, people }) => ({ step: node.key, product, people })),
    );
  }

  /** No other version becomes the present one before the transaction ends; false when one has. Before any other lock. */
  private async holdVersion(
    manager: EntityManager,
    sequenceId: string,
    { versionId }: Target,
  ): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      'select 1 from sequence where id = $1 and current_version_id = $2 for share',
      [sequenceId, versionId],
    );
    return rows.length > 0;
  }

  /** Moves the next thousand behind `after`; returns the last of them, null when there was nobody. */
  private async movePage(
    manager: EntityManager,
    given: {
      sequenceId: string;
      target: Target;
      after: string;
      mode: MoveMode;
      count: MoveCount;
      joined?: Joined | undefined;
    },
  ): Promise<string | null> {
    const { sequenceId, target, after, mode, count, joined } = given;
    const rows = await this.page(manager, { sequenceId, ...target, after, mode });
    const moves = await this.place(manager, { rows, to: target.to, mode, count, joined });
    await this.write(manager, target, moves);
    await this.mails.rewrite(manager, target.to, moves);
    return rows.at(-1)?.id ?? null;
  }

  private async target(manager: EntityManager, sequenceId: string, mode: MoveMode): Promise<Target> {
    const rows: { versionId: string; version: number }[] = await manager.query(
      `select v.id as "versionId", v.version from sequence q join sequence_version v on v.id = q.current_version_id where q.id = $1`,
      [sequenceId],
    );
    const [row] = rows;
    if (!row) throw notFound('sequence', sequenceId);
    const to = (await this.versions.running(manager, [row])).get(row.versionId)?.sequence;
    if (!to) throw new Error(`version ${row.versionId} was not loaded`);
    const unknown =
      mode.kind === 're-map' ? Object.values(mode.steps).find((step) => !to.nodes.has(step)) : undefined;
    if (unknown !== undefined) {
      const steps = [...to.nodes.keys()];
      const text = `steps: the present version has no step "${unknown}"; there are: ${steps.join(', ')}`;
      throw new DomainError('STEP_NOT_FOUND', text, { step: unknown, steps });
    }
    return { ...row, to };
  }

  /** Also those who finished since, where the owner wants to catch up with them. */
  private async page(
    manager: EntityManager,
    {
      sequenceId,
      versionId,
      to,
      after,
      mode,
    }: Target & { sequenceId: string; after: string; mode: MoveMode },
  ): Promise<Row[]> {
    const locked: { id: string }[] = await manager.query(
      `select e.id from enrollment e where e.sequence_id = $1 and e.version_id <> $2 and e.id > $3 and ${movable(to)}
       order by e.id limit ${PAGE} for update of e`,
      [sequenceId, versionId, after, mode.kind === 'catch-up' ? mode.since : null],
    );
    // What is done is read by a statement of its own: the one that waited for a worker's lock would see where the worker
    // has put people, but none of the steps it has run for them, and they would run again.
    const ids = locked.map(({ id }) => id);
    return manager.query(`${ROWS} e.id = any ($1::bigint[]) order by e.id`, [ids]);
  }

  private async place(
    manager: EntityManager,
    {
      rows,
      to,
      mode,
      count,
      joined,
      sizes,
    }: {
      rows: readonly Row[];
      to: PreparedSequence;
      mode: MoveMode;
      count: MoveCount;
      joined?: Joined | undefined;
      /** Of a row that stands for several people, by its id, how many they are. */
      sizes?: ReadonlyMap<string, number>;
    },
  ): Promise<Move[]> {
    const versions = await this.versions.running(manager, rows);
    const now = this.clock.now();
    const finished = rows.filter(({ status }) => status === 'completed');
    const held = await heldByExits(manager, finished, to, now);
    return rows.flatMap((row): Move[] => {
      const from = versions.get(row.versionId)?.sequence;
      if (!from) return [];
      if (held.has(row.id)) {
        count.stay('exit_holds');
        return [];
      }
      const standing = {
        ...row,
        timeZone: timeZoneOr(row.timeZone, to.fallbackZone).zone,
        done: (row.done ?? []).map(({ atMs, wentMs, ...step }): DoneStep => ({
          ...{ ...step, at: new Date(atMs) },
          // Not by a clock that was ahead, nor before its hour has come.
          wentAt: new Date(Math.min(wentMs, now.getTime())),
        })),
      };
      const placement = placeIn({ from, to }, standing, mode, now);
      count.add({ from, to }, standing, placement, sizes?.get(row.id));
      if (joined && row.startedAt <= joined.by) joined.count.add({ from, to }, standing, placement);
      return placement.kind === 'goes' ? [{ ...placement, id: row.id }] : [];
    });
  }

  private async write(
    manager: EntityManager,
    { versionId, to }: Target,
    moves: readonly Move[],
  ): Promise<void> {
    if (moves.length === 0) return;
    // Without a new time they go on waiting as they do. Who has joined again since the page was read is left alone.
    await manager.query(
      `update enrollment e set version_id = $1, step_key = m.step_key, had = m.had,
         versions_before = coalesce(e.versions_before, '[]')
           || jsonb_build_object('id', e.version_id::text, 'until', $6::timestamptz),
         status = case when m.step_key is null then 'completed' else 'active' end,
         ended_at = case when m.step_key is null then coalesce(e.ended_at, $6::timestamptz) end,
         next_at = case when m.step_key is null then null else coalesce(m.next_at, e.next_at) end,
         wait_until = case when m.step_key is null or m.next_at is not null then null else e.wait_until end,
         came_at = case when m.step_key is null or m.next_at is not null then null else e.came_at end,
         watches = case when m.step_key is null or m.next_at is not null then null else e.watches end,
         planned_for = case when m.step_key is null or m.next_at is not null then null else e.planned_for end, hours_of = null
       from unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::jsonb[]) as m (id, step_key, next_at, had)
       where e.id = m.id and (e.status = 'active' or ${isLastTime(to)})`,
      [
        versionId,
        moves.map(({ id }) => id),
        moves.map(({ stepKey }) => stepKey),
        moves.map(({ nextAt }) => nextAt),
        moves.map(({ had }) => (had === null ? null : JSON.stringify(had))),
        this.clock.now(),
      ],
    );
    await forgetKnown(manager, versionId);
    await this.wake.notify(manager, ADVANCE_DUE);
  }
}
