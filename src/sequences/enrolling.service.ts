import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { DomainError } from '../values/domain-error.js';
import { timeZoneOr } from '../values/zoned-time.js';
import type { SequenceDefinition } from './definition.js';
import { dueAt } from './progress.js';
import { VersionsService } from './versions.service.js';

export const ADVANCE_DUE = 'sequences.advance-due';
/** Two sequences that move people to each other without a wait would go round for ever. */
const MOVES_AGAIN_AFTER_MS = 3_600_000;

export interface Newcomer {
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
   * Joins the current version of the sequence, as its rule for joining again allows; returns who did. `byMove`: they come
   * from another sequence. Throws `SEQUENCE_NOT_FOUND`.
   */
  async join(
    manager: EntityManager,
    sequenceKey: string,
    newcomers: readonly Newcomer[],
    { byMove = false } = {},
  ): Promise<string[]> {
    const now = this.clock.now();
    const found: { id: string; versionId: string; definition: SequenceDefinition }[] = await manager.query(
      `select q.id, v.id as "versionId", v.definition from sequence q join sequence_version v on v.id = q.current_version_id
       where q.key = $1`,
      [sequenceKey],
    );
    const sequence = found[0];
    if (!sequence?.definition.first) {
      const text = `there is no sequence "${sequenceKey}" to join`;
      throw new DomainError('SEQUENCE_NOT_FOUND', text, { sequenceKey });
    }
    const { first, reentry } = sequence.definition;
    const prepared = this.versions.prepare(sequence.versionId, sequence.definition);
    const zones = await zonesOf(manager, newcomers);
    const dueIn = new Map<string | null, Date>();
    const nextAt = newcomers.map(({ subscriberId }) => {
      const name = zones.get(subscriberId) ?? null;
      const timeZone = timeZoneOr(name, prepared.fallbackZone).zone;
      const known = dueIn.get(name) ?? dueAt(prepared, first, { now, timeZone });
      dueIn.set(name, known);
      return known;
    });
    const days = reentry?.mode === 'after' ? reentry.days : 0;
    const rows: { id: string }[] = await manager.query(JOIN, [
      sequence.id,
      sequence.versionId,
      first,
      newcomers.map(({ subscriberId }) => subscriberId),
      nextAt,
      newcomers.map(({ data }) => data),
      newcomers.map(({ entryKey }) => entryKey ?? null),
      now,
      reentry?.mode ?? 'never',
      new Date(now.getTime() - days * 86_400_000),
      byMove ? new Date(now.getTime() - MOVES_AGAIN_AFTER_MS) : now,
    ]);
    if (rows.length > 0) await this.wake.notify(manager, ADVANCE_DUE);
    return rows.map(({ id }) => id);
  }
}

/** Served by the unique key of `enrollment`; two who join at once take the same occurrence, and one of them does nothing. */
const JOIN = `
insert into enrollment (sequence_id, version_id, subscriber_id, occurrence, status, step_key, next_at, data, started_at, entry_key)
select $1, $2, p.id, coalesce(before.occurrence, 0) + 1, 'active', $3, p.next_at, p.data, $8, p.entry_key
from unnest($4::bigint[], $5::timestamptz[], $6::jsonb[], $7::text[]) as p (id, next_at, data, entry_key)
join subscriber s on s.id = p.id
cross join lateral (
  select max(e.occurrence) as occurrence, bool_or(e.status = 'active') as is_in, max(e.started_at) as started_at,
    max(coalesce(e.ended_at, e.started_at)) as last_at
  from enrollment e where e.subscriber_id = p.id and e.sequence_id = $1) before
where before.occurrence is null
  or ($9 = 'always' and not before.is_in and before.started_at <= $11)
  or ($9 = 'after' and not before.is_in and before.last_at <= $10 and before.started_at <= $11)
  or ($9 = 'event' and p.entry_key is not null)
on conflict do nothing returning subscriber_id as id`;

async function zonesOf(
  manager: EntityManager,
  newcomers: readonly Newcomer[],
): Promise<Map<string, string | null>> {
  const rows: { id: string; zone: string | null }[] = await manager.query(
    'select id, time_zone as zone from subscriber where id = any($1::bigint[])',
    [newcomers.map(({ subscriberId }) => subscriberId)],
  );
  return new Map(rows.map(({ id, zone }) => [id, zone]));
}
