import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import type { SequenceDefinition } from '../steps/definition.js';
import { mayJoin, type EarlierTimes } from './joining.js';
import { dueAt, dueSince } from '../steps/due-at.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { VersionsService } from '../advance/versions.service.js';

export const ADVANCE_DUE = 'sequences.advance-due';
interface Newcomer {
  subscriberId: string;
  /** Variables of the mails, as JSON. */
  data: string;
  /** Names the event that began it, where people may be in a sequence once per event. */
  entryKey?: string | undefined;
}

/** The way into a sequence: whether somebody may join, or join again, and when their first step runs. */
@Injectable()
export class EnrollingService {
  constructor(
    private readonly versions: VersionsService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Joins the current version of the sequence, as its rule for joining again allows; returns who did. `byStep`: a
   * step of some sequence made them come. `at`: the step they begin with, the first when it is left out; its delay counts
   * from now, or from `since`, when what began it happened before now. Nobody joins one whose funnel is archived. Throws `SEQUENCE_NOT_FOUND` and `STEP_NOT_FOUND`.
   */
  async join(
    manager: EntityManager,
    sequenceKey: string,
    newcomers: readonly Newcomer[],
    {
      byStep = false,
      at,
      since: given,
    }: { byStep?: boolean; at?: string | undefined; since?: Date | undefined } = {},
  ): Promise<string[]> {
    const now = this.clock.now();
    const since = given ?? now;
    const found: {
      id: string;
      versionId: string;
      definition: SequenceDefinition;
      isClosed: boolean;
    }[] = await manager.query(
      `select q.id, q.closed_at is not null as "isClosed", v.id as "versionId", v.definition from sequence q join sequence_version v on v.id = q.current_version_id
       where q.key = $1`,
      [sequenceKey],
    );
    const sequence = found[0];
    if (!sequence?.definition.first) throw notFound('sequence', sequenceKey, 'key');
    const { reentry } = sequence.definition;
    const prepared = this.versions.prepare(sequence.versionId, sequence.definition);
    const first = at ?? sequence.definition.first;
    if (!prepared.nodes.has(first)) {
      const steps = [...prepared.nodes.keys()];
      const text = `at: the sequence has no step "${first}"; there are: ${steps.join(', ')}`;
      throw new DomainError('STEP_NOT_FOUND', text, { step: first, steps });
    }
    if (sequence.isClosed) return [];
    const dueIn = new Map<string | null, { nextAt: Date; cameAt: Date | null }>();
    const joined = new Set<string>();
    for (let asking = newcomers; asking.length > 0;) {
      const [people, others] = oncePerPerson(asking);
      const joining = (await earlierTimes(manager, sequence.id, people)).flatMap(
        ({ place, zone, earlier }) => {
          const newcomer = people[place];
          const cause = { now: since, entryKey: newcomer?.entryKey, byStep };
          if (newcomer === undefined || !mayJoin(reentry, earlier, cause)) return [];
          const timeZone = timeZoneOr(zone, prepared.fallbackZone).zone;
          const due = dueIn.get(zone) ?? firstDue(prepared, first, { since, now, timeZone });
          dueIn.set(zone, due);
          return [{ ...newcomer, ...due, occurrence: (earlier?.count ?? 0) + 1 }];
        },
      );
      const came = await insert(manager, { ...sequence, first, since }, joining);
      for (const id of came) joined.add(id);
      // Somebody else has begun it for these at the same moment: asked anew, with that among their earlier times.
      asking = [...joining.filter(({ subscriberId }) => !came.has(subscriberId)), ...others];
    }
    if (joined.size > 0) await this.wake.notify(manager, ADVANCE_DUE);
    return [...joined];
  }
}

/** `cameAt`: they come to the step now, and it was due before; null where it was not. */
function firstDue(
  prepared: PreparedSequence,
  first: string,
  { since, now, timeZone }: { since: Date; now: Date; timeZone: string },
): { nextAt: Date; cameAt: Date | null } {
  const nextAt = dueSince(prepared, first, { since, now, timeZone });
  const wasDue = dueAt(prepared, first, { now: since, timeZone });
  return { nextAt, cameAt: nextAt <= now && wasDue < nextAt ? wasDue : null };
}

/** The first of each person, and the rest: each time in a sequence counts those before. */
function oncePerPerson(newcomers: readonly Newcomer[]): [first: Newcomer[], others: Newcomer[]] {
  const first = new Map<string, Newcomer>();
  const others: Newcomer[] = [];
  for (const newcomer of newcomers) {
    if (first.has(newcomer.subscriberId)) others.push(newcomer);
    else first.set(newcomer.subscriberId, newcomer);
  }
  return [[...first.values()], others];
}

/** Returns the subscribers who have joined. */
async function insert(
  manager: EntityManager,
  { id, versionId, first, since }: { id: string; versionId: string; first: string; since: Date },
  joining: readonly (Newcomer & { nextAt: Date; cameAt: Date | null; occurrence: number })[],
): Promise<Set<string>> {
  if (joining.length === 0) return new Set();
  const rows: { id: string }[] = await manager.query(JOIN, [
    id,
    versionId,
    first,
    joining.map(({ subscriberId }) => subscriberId),
    joining.map(({ nextAt }) => nextAt),
    joining.map(({ data }) => data),
    joining.map(({ entryKey }) => entryKey ?? null),
    joining.map(({ occurrence }) => occurrence),
    since,
    joining.map(({ cameAt }) => cameAt),
  ]);
  return new Set(rows.map((row) => row.id));
}

/**
 * Two who join at once take the same occurrence, by the unique key of `enrollment`; the second waits for the first and
 * then does nothing.
 */
const JOIN = `
insert into enrollment (sequence_id, version_id, subscriber_id, occurrence, status, step_key, next_at, data, started_at, entry_key, came_at)
select $1, $2, p.id, p.occurrence, 'active', $3, p.next_at, p.data, $9, p.entry_key, p.came_at
from unnest($4::bigint[], $5::timestamptz[], $6::jsonb[], $7::text[], $8::int[], $10::timestamptz[])
  as p (id, next_at, data, entry_key, occurrence, came_at)
join subscriber s on s.id = p.id
on conflict do nothing returning subscriber_id as id`;

interface Candidate {
  /** Among the newcomers. */
  place: number;
  zone: string | null;
  earlier: EarlierTimes | null;
}

/** Who is no subscriber any more is left out. Served by the unique key of `enrollment`. */
async function earlierTimes(
  manager: EntityManager,
  sequenceId: string,
  newcomers: readonly Newcomer[],
): Promise<Candidate[]> {
  const rows: ({ place: number; zone: string | null } & Record<keyof EarlierTimes, unknown>)[] =
    await manager.query(
      `select p.place::int - 1 as place, s.time_zone as zone, before.*
       from unnest($2::bigint[], $3::text[]) with ordinality as p (id, entry_key, place)
       join subscriber s on s.id = p.id
       cross join lateral (
         select max(e.occurrence) as count, bool_or(e.status = 'active') as "isIn", max(e.started_at) as "lastStartedAt",
           max(coalesce(e.ended_at, e.started_at)) as "lastAt", coalesce(bool_or(e.entry_key = p.entry_key), false) as "sameEntry"
         from enrollment e where e.subscriber_id = p.id and e.sequence_id = $1) before
       order by p.place`,
      [
        sequenceId,
        newcomers.map(({ subscriberId }) => subscriberId),
        newcomers.map(({ entryKey }) => entryKey ?? null),
      ],
    );
  return rows.map(({ place, zone, ...earlier }) => ({
    ...{ place, zone },
    earlier: earlier.count === null ? null : (earlier as EarlierTimes),
  }));
}
