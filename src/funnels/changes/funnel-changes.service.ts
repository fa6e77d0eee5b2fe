import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { holdFunnels, holdFunnelsSoon } from '../../infra/database/funnel-lock.js';
import { moveModeOf, type MoveChoice } from '../../sequences/moves/people-moves.schemas.js';
import { PeopleMovesService } from '../../sequences/moves/people-moves.service.js';
import { defineFields, fieldDefinitions } from '../../subscribers/subscribers.queries.js';
import { DomainError } from '../../values/domain-error.js';
import { FunnelArchive } from '../archive/funnel-archive.service.js';
import { labelsLeft } from '../lint/between-funnels.js';
import { withFields } from '../export/exported-fields.js';
import { fieldChangesOf, type FieldChanges } from './field-changes.js';
import {
  changeText,
  fieldsOf,
  funnelDiff,
  type FunnelState,
  type Moved,
  type PlannedChange,
} from './funnel-diff.js';
import { fieldsOfFunnels } from './funnel-fields.queries.js';
import { FunnelPublisher, type FunnelParts } from '../publish/funnel-publisher.service.js';
import { FunnelStore, type StoredFunnel } from '../funnel-store.service.js';
import { movedObjects, type MovedObject } from './moved-objects.queries.js';
import { movedAlong } from './moved-people.queries.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { Finding } from '../lint/rules.js';
import { changedSteps, peopleWords, type PeopleAffected } from './people-affected.js';
import {
  planDifferences,
  planToken,
  planTokenText,
  shownMove,
  type MoveNow,
  type PlanToken,
} from './plan-token.js';

export interface PlannedFunnel {
  funnel: string;
  changes: PlannedChange[];
  /** For each sequence that gets a new version: what that means for who is in it. */
  people: PeopleAffected[];
  /** The changes and the people as sentences, for people. */
  words: string[];
  /** Stands for this plan: with it, `apply` does this or nothing. */
  token: string;
}

/** A funnel as it shall be, and where what it is made of comes from. */
export interface WantedFunnel {
  definition: FunnelDefinition;
  /** `isApplied`: what it is made of is stored, so that the state is of what is stored. */
  stateOver(
    manager: EntityManager,
    stored: StoredFunnel | null,
    how: { isApplied: boolean },
  ): Promise<FunnelState>;
  /** What it is made of, when it takes the place of `stored`; asked behind `stateOver`. */
  parts(manager: EntityManager, stored: StoredFunnel | null): Promise<FunnelParts>;
  mails(manager: EntityManager): Promise<FunnelParts['mails']>;
  /** The version that it brings back. */
  restored: number | null;
}

/** Funnels as they shall be, and what is said of them that stops nothing. */
export interface Wanted {
  funnels: WantedFunnel[];
  warnings: Finding[];
}

/** Looks the funnels through, in the transaction that plans or applies them. Throws `FUNNEL_INVALID`. */
export type Reading = (manager: EntityManager) => Promise<Wanted>;

export interface Planned {
  plans: PlannedFunnel[];
  warnings: Finding[];
}

/** What becomes of the people in its sequence, and what it must be a change of. Without a choice everybody stays. */
export interface ChangeOptions {
  move?: MoveChoice | undefined;
  /** The plan it must be, of each funnel. */
  tokens?: readonly PlanToken[] | undefined;
  /** The version that it was made from, which must be the present one. */
  version?: number | undefined;
  /** Who applies it, in words of the history: an address, or `API`. */
  by?: string | undefined;
  /** A funnel that is archived comes back by it. */
  unarchive?: boolean | undefined;
  /** How long a plan waits for a change that is being made; ten seconds when left out. */
  patienceMs?: number | undefined;
}

const PATIENCE_MS = 10_000;

/**
 * Compares a funnel with what is there, and brings it about in one transaction or not at all. A plan is made by the same
 * statements in a transaction that is taken back, so it counts what `apply` would do.
 */
@Injectable()
export class FunnelChanges {
  constructor(
    private readonly dataSource: DataSource,
    private readonly store: FunnelStore,
    private readonly publisher: FunnelPublisher,
    private readonly moves: PeopleMovesService,
    private readonly archive: FunnelArchive,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Stores no file and leaves the database as it was. Throws `FUNNEL_CHANGE_IN_PROGRESS`. */
  async plan(read: Reading, options: ChangeOptions = {}): Promise<Planned> {
    const runner = this.dataSource.createQueryRunner();
    await runner.connect();
    try {
      await runner.startTransaction();
      await holdFunnelsSoon(runner.manager, options.patienceMs ?? PATIENCE_MS);
      const { funnels, warnings, moved } = await this.begin(runner.manager, read);
      const plans: PlannedFunnel[] = [];
      for (const one of funnels)
        plans.push(await this.planWithin(runner.manager, one, { ...options, moved }));
      return { plans, warnings };
    } finally {
      await runner.rollbackTransaction();
      await runner.release();
    }
  }

  /**
   * All of them or none. Throws `FUNNEL_PLAN_CONFLICT` when this is no more the plan that the tokens stand for, one for
   * each, or the version that the change was made from is not the present one.
   */
  async apply(read: Reading, options: ChangeOptions = {}): Promise<Planned> {
    const { tokens } = options;
    return this.dataSource.transaction(async (manager) => {
      await holdFunnels(manager);
      const { funnels, warnings, moved } = await this.begin(manager, read);
      if (tokens !== undefined && tokens.length !== funnels.length) {
        const message = `plan: not applied, because ${tokens.length} funnels were planned, and here are ${funnels.length}`;
        throw new DomainError('FUNNEL_PLAN_CONFLICT', message, {});
      }
      const plans: PlannedFunnel[] = [];
      for (const [place, one] of funnels.entries())
        plans.push(await this.applyWithin(manager, one, { ...options, moved, token: tokens?.[place] }));
      return { plans, warnings };
    });
  }

  /** Behind the lock no other change comes between: what is read and judged is what is written over. */
  private async begin(manager: EntityManager, read: Reading): Promise<Wanted & { moved: readonly Move[] }> {
    const { funnels, warnings } = await read(manager);
    const moved = await this.movesOf(manager, funnels);
    await this.publisher.move(manager, moved);
    return { funnels, warnings, moved };
  }

  private async planWithin(
    manager: EntityManager,
    wanted: WantedFunnel,
    { move, moved, unarchive }: ChangeOptions & { moved: readonly Move[] },
  ): Promise<PlannedFunnel> {
    const compared = await this.compare(manager, wanted, { moved, isApplied: false });
    checkArchived(compared.stored, unarchive);
    const { next, changes, fields } = compared;
    const before = await this.sequence(manager, next.definition.funnel);
    const isChanged = changes.length > 0 && before !== null;
    // Of several funnels that bring a field the first makes it, in the plan as when they are applied.
    if (fields.changes.length > 0) await defineFields(manager, fields.wanted, this.clock.now());
    if (isChanged)
      await this.publisher.publishSequence(manager, wanted.definition, await wanted.mails(manager));
    // Before people are counted: who joins meanwhile is not shown, and counts as joined since.
    const now = this.clock.now();
    const { people } = await this.people(manager, { next, changes, before, move });
    const lines = [...linesOf(next.definition.funnel, moved), ...backWords(compared)];
    return planOf({ ...compared, people, move, lines, now });
  }

  private async applyWithin(
    manager: EntityManager,
    wanted: WantedFunnel,
    {
      move,
      moved,
      token,
      version,
      by,
      unarchive,
    }: ChangeOptions & { moved: readonly Move[]; token: PlanToken | undefined },
  ): Promise<PlannedFunnel> {
    const compared = await this.compare(manager, wanted, { moved, isApplied: true });
    const { stored, next, changes, fields } = compared;
    checkVersion(stored, version);
    checkArchived(stored, unarchive);
    const before = await this.sequence(manager, next.definition.funnel);
    // Also where the funnel is as it was: a field may have gone, or have been renamed, beside it.
    if (fields.changes.length > 0) await defineFields(manager, fields.wanted, this.clock.now());
    if (changes.length > 0) {
      const parts = await wanted.parts(manager, stored);
      await this.publisher.publish(manager, wanted.definition, parts);
      await this.store.save(manager, next, { stored, parts, restored: wanted.restored, by });
    }
    if (isArchived(stored)) await this.archive.restore(manager, wanted.definition);
    const shown = token?.people;
    const joinedBy = shown === undefined || shown === 'stay' ? this.clock.now() : shown.at;
    const { people, joined } = await this.people(manager, { next, changes, before, move, joinedBy });
    const lines = [...linesOf(next.definition.funnel, moved), ...backWords(compared)];
    if (token) checkToken(token, { ...compared, move, joined });
    return planOf({ ...compared, people, move, lines, now: this.clock.now() });
  }

  private async compare(
    manager: EntityManager,
    wanted: WantedFunnel,
    { moved, isApplied }: { moved: readonly Move[]; isApplied: boolean },
  ): Promise<Omit<Compared, 'move'> & { changes: PlannedChange[] }> {
    const { funnel } = wanted.definition;
    const stored = await this.store.find(manager, funnel);
    // What moved with the version that is brought back did so then.
    const { moved: _, ...state } = await wanted.stateOver(manager, stored, { isApplied });
    const own = movedWith(funnel, moved);
    const next = own === null ? state : { ...state, moved: own };
    const defined = await fieldDefinitions(manager);
    // An export names fields that are defined elsewhere, too, so that it can go anywhere: here that is no change.
    const withAll = (one: FunnelState): FunnelState => ({
      ...one,
      definition: withFields(one.definition, defined),
    });
    const changes = funnelDiff(stored && withAll(stored.state), withAll(next));
    const left = labelsLeft(wanted.definition, await fieldsOfFunnels(manager, wanted.definition.funnel));
    return { stored, next, changes, fields: fieldChangesOf(wanted.definition.fields, defined, left) };
  }

  /** What goes from one of the funnels to another, before any of them is written, with what it was there. */
  private async movesOf(manager: EntityManager, wanted: readonly WantedFunnel[]): Promise<Move[]> {
    if (wanted.length === 1) return [];
    const definitions = wanted.map(({ definition }) => definition);
    const moves: Move[] = [];
    for (const { kind, key, funnel, to } of await movedObjects(manager, definitions)) {
      const object = `${kind} ${key}`;
      const owner = await this.store.find(manager, funnel);
      const was = owner === null ? {} : fieldsOf(owner.state.definition, object);
      const lines = await movedAlong(manager, [{ kind, key, funnel, to }]);
      moves.push({ kind, key, object, funnel, to, was, lines });
    }
    return moves;
  }

  /**
   * Null where nobody is concerned: the sequence has no other version now, or nobody is in an earlier one. `joinedBy`: it is
   * applied, and who had joined by then is counted apart.
   */
  private async people(
    manager: EntityManager,
    given: {
      next: FunnelState;
      changes: readonly PlannedChange[];
      before: { id: string; versionId: string } | null;
      move: MoveChoice | undefined;
      joinedBy?: Date;
    },
  ): Promise<{ people: PeopleAffected | null; joined: MoveNow | null }> {
    const { next, changes, before, move, joinedBy } = given;
    const { definition } = next;
    const nobody = { people: null, joined: null };
    if (before === null) return nobody;
    const after = await this.sequence(manager, definition.funnel);
    if (move === undefined && after?.versionId === before.versionId) return nobody;
    const steps = changedSteps(changes, definition);
    const names = [...steps.keys()];
    const mode = move === undefined ? { kind: 'forward-only' as const } : moveModeOf(move, this.clock.now());
    const { preview, standings, joined } =
      joinedBy !== undefined && move !== undefined
        ? await this.moves.applyWithin(manager, before.id, mode, { steps: names, joinedBy })
        : { ...(await this.moves.previewWithin(manager, before.id, mode, names)), joined: null };
    if (preview.people === 0) return { people: null, joined };
    const { toVersion: _, ...counts } = preview;
    const people = {
      sequence: definition.funnel,
      choice: move?.mode ?? ('stay' as const),
      ...counts,
      steps: standings.map((standing) => ({ ...standing, isNew: steps.get(standing.step) ?? false })),
    };
    return { people, joined };
  }

  private async sequence(
    manager: EntityManager,
    key: string,
  ): Promise<{ id: string; versionId: string } | null> {
    const rows: { id: string; versionId: string }[] = await manager.query(
      'select id, current_version_id as "versionId" from sequence where key = $1',
      [key],
    );
    return rows[0] ?? null;
  }
}

type Move = MovedObject & {
  object: string;
  was: Readonly<Record<string, unknown>>;
  /** What else moves with it, for the plan. */
  lines: readonly string[];
};

/** Each is said where the object goes to. */
function linesOf(funnel: string, moved: readonly Move[]): string[] {
  return moved.filter(({ to }) => to === funnel).flatMap(({ lines }) => lines);
}

/** What comes to the funnel and what leaves it. Null: nothing. */
function movedWith(funnel: string, moves: readonly Move[]): Moved | null {
  const came = moves.filter(({ to }) => to === funnel);
  const left = moves.filter((move) => move.funnel === funnel);
  if (came.length + left.length === 0) return null;
  return {
    from: Object.fromEntries(came.map(({ object, funnel: owner, was }) => [object, { funnel: owner, was }])),
    to: Object.fromEntries(left.map(({ object, to }) => [object, to])),
  };
}

interface Compared {
  stored: StoredFunnel | null;
  next: FunnelState;
  fields: FieldChanges;
  move: MoveChoice | undefined;
}

const NOBODY: MoveNow = { gains: [], losses: [] };

function planOf({
  changes,
  lines,
  people,
  now,
  ...compared
}: Compared & {
  changes: PlannedChange[];
  lines: string[];
  people: PeopleAffected | null;
  now: Date;
}): PlannedFunnel {
  const all = [...changes, ...compared.fields.changes];
  const shown = compared.move === undefined ? ('stay' as const) : shownMove(now, people ?? NOBODY);
  return {
    funnel: compared.next.definition.funnel,
    changes: all,
    people: people === null ? [] : [people],
    words: [...all.map(changeText), ...lines, ...(people === null ? [] : peopleWords(people))],
    token: planTokenText(tokenOf(compared, shown)),
  };
}

function tokenOf({ stored, next, fields, move }: Compared, people: PlanToken['people']): PlanToken {
  return planToken({ next, fields: fields.changes, move: move ?? null }, stored?.hash ?? null, people);
}

function isArchived(stored: StoredFunnel | null): boolean {
  return stored !== null && stored.peopleAfter !== null;
}

function backWords({ stored, next }: Pick<Compared, 'stored' | 'next'>): string[] {
  return isArchived(stored) ? [`the funnel ${next.definition.funnel} comes back from the archive`] : [];
}

/** A file that is applied by habit, or at a start, must not open what its owner has closed. */
function checkArchived(stored: StoredFunnel | null, unarchive = false): void {
  if (stored === null || unarchive || !isArchived(stored)) return;
  const key = stored.state.definition.funnel;
  const message = `funnel: "${key}" is archived; say unarchive (--unarchive for the command) to bring it back by this`;
  throw new DomainError('FUNNEL_ARCHIVED_CONFLICT', message, { key });
}

function checkVersion(stored: StoredFunnel | null, version: number | undefined): void {
  if (version === undefined || stored?.version === version) return;
  const message =
    'not applied, because the funnel was changed by somebody else at the same time; send it again';
  throw new DomainError('FUNNEL_PLAN_CONFLICT', message, { version, present: stored?.version ?? null });
}

function checkToken(shown: PlanToken, { joined, ...compared }: Compared & { joined: MoveNow | null }): void {
  const { funnel } = compared.next.definition;
  const move = compared.move === undefined ? null : (joined ?? NOBODY);
  const differences = planDifferences(shown, tokenOf(compared, 'stay'), move);
  if (differences.length === 0) return;
  const message = `plan: not applied, because ${differences.join('; ')}. Plan again and look at what it says now.`;
  throw new DomainError('FUNNEL_PLAN_CONFLICT', message, { funnel, differences });
}
