import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { timeZoneOr } from '../values/zoned-time.js';
import { dueInNewZone } from './new-zone.js';
import { VersionsService } from './versions.service.js';

interface Waiting {
  id: string;
  subscriberId: string;
  versionId: string;
  stepKey: string;
  nextAt: Date;
  timeZone: string | null;
}

/** Local times that people wait for are those of their clocks, also when these change. */
@Injectable()
export class ZoneChangesService {
  constructor(
    private readonly versions: VersionsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Sets anew when the steps of these people come up; `before`: the zone that each of them had. In the transaction of the
   * change or behind it. What waits for a date in a field looks again by itself. Whoever waits for the end of their pause
   * goes on waiting for it. Locks in one order; served by the unique key of `enrollment`.
   */
  async changed(manager: EntityManager, before: ReadonlyMap<string, string | null>): Promise<void> {
    if (before.size === 0) return;
    const now = this.clock.now();
    const waiting: Waiting[] = await manager.query(
      `select e.id, e.subscriber_id as "subscriberId", e.version_id as "versionId", e.step_key as "stepKey",
         e.next_at as "nextAt", s.time_zone as "timeZone"
       from enrollment e join subscriber s on s.id = e.subscriber_id
       where e.subscriber_id = any($1::bigint[]) and e.status = 'active' and e.wait_until is null and e.next_at > $2
         and e.next_at is distinct from s.paused_until order by e.id for update of e`,
      [[...before.keys()], now],
    );
    const versions = await this.versions.running(manager, waiting);
    const moved = waiting.flatMap(({ id, subscriberId, versionId, stepKey, nextAt, timeZone }) => {
      const sequence = versions.get(versionId)?.sequence;
      if (sequence === undefined) return [];
      const zoneOf = (name: string | null): string => timeZoneOr(name, sequence.fallbackZone).zone;
      const zones = { before: zoneOf(before.get(subscriberId) ?? null), after: zoneOf(timeZone) };
      const due = dueInNewZone(sequence, stepKey, { nextAt, now, ...zones });
      return due === null ? [] : [{ id, due }];
    });
    if (moved.length === 0) return;
    await manager.query(
      `update enrollment e set next_at = u.due from unnest($1::bigint[], $2::timestamptz[]) as u (id, due) where e.id = u.id`,
      [moved.map(({ id }) => id), moved.map(({ due }) => due)],
    );
  }
}
