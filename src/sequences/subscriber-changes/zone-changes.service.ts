import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { loadAssignments } from '../../experiments/assignments.queries.js';
import { takeZoneSignal } from '../../subscribers/field-signals.queries.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { dueInNewZone, timedTest } from './new-zone.js';
import type { PreparedSequence } from '../steps/prepared.js';
import { VersionsService } from '../advance/versions.service.js';

/** What somebody's time zone was; null: none was known. */
export interface ZoneBefore {
  zone: string | null;
  /** When it changed; null: just now. */
  changedAt: Date | null;
  /** What it was from then until just now; left out where it is that still. */
  since?: string | null;
}

interface Waiting {
  id: string;
  subscriberId: string;
  versionId: string;
  stepKey: string;
  nextAt: Date;
  /** Of a wait for something to happen, or for a time that was found in the step's own turn. */
  waitUntil: Date | null;
  timeZone: string | null;
  /** They have neither joined nor gone on since the zone changed. */
  isBefore: boolean;
}

/** Local times that people wait for are those of their clocks, also when these change. */
@Injectable()
export class ZoneChangesService {
  constructor(
    private readonly versions: VersionsService,
    private readonly messages: MessagesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * As `changed`, of one person whose zone was `zone` until just now. A change that is noted and not yet heard of comes
   * first: whoever waits by the clock of before that one would else be moved from a clock that they never waited by.
   */
  async changedFrom(manager: EntityManager, subscriberId: string, zone: string | null): Promise<void> {
    const noted = await takeZoneSignal(manager, subscriberId);
    const before =
      noted === null
        ? { zone, changedAt: null }
        : { zone: noted.zoneBefore || null, changedAt: noted.zoneChangedAt, since: zone };
    await this.changed(manager, new Map([[subscriberId, before]]));
  }

  /**
   * Sets anew when the steps of these people come up, and in which hours what is planned for them may go. In the transaction of the change or behind it, and before anything
   * in it makes them join or go on: who has joined or gone on since the change waits by their new clock already. What waits
   * for a date in a field looks again by itself. Whoever waits for the end of their pause goes on waiting for it. Locks in
   * one order; served by the unique key of `enrollment`, `message_subscriber`, `experiment_assignment_enrollment` and the key of `enrollment_step`.
   */
  async changed(manager: EntityManager, before: ReadonlyMap<string, ZoneBefore>): Promise<void> {
    if (before.size === 0) return;
    await this.messages.zonesChanged(manager, [...before.keys()]);
    const now = this.clock.now();
    const waiting: Waiting[] = await manager.query(
      `select e.id, e.subscriber_id as "subscriberId", e.version_id as "versionId", e.step_key as "stepKey",
         e.next_at as "nextAt", e.wait_until as "waitUntil", s.time_zone as "timeZone", c.at is null or e.started_at < c.at
           and not (select exists (select 1 from enrollment_step o where o.enrollment_id = e.id and o.at >= c.at))
           and not (select exists (select 1 from experiment_assignment a where a.enrollment_id = e.id and a.assigned_at >= c.at))
           and not (select exists (select 1 from message m
             where m.subscriber_id = c.id and m.enrollment_id = e.id and m.created_at >= c.at)) as "isBefore"
       from unnest($1::bigint[], $3::timestamptz[]) as c (id, at)
       join subscriber s on s.id = c.id join enrollment e on e.subscriber_id = c.id
       where e.status = 'active' and (e.wait_until is null or e.wait_until = e.next_at) and e.next_at > $2 and e.next_at is distinct from s.paused_until
       order by e.id for update of e`,
      [[...before.keys()], now, [...before.values()].map(({ changedAt }) => changedAt)],
    );
    const versions = await this.versions.running(manager, waiting);
    const arms = await this.arms(manager, waiting, versions);
    const moved = waiting.flatMap((one) => {
      const { id, subscriberId, versionId, stepKey, nextAt, waitUntil, timeZone, isBefore } = one;
      const sequence = versions.get(versionId)?.sequence;
      const change = before.get(subscriberId);
      const was = isBefore ? change?.zone : change?.since;
      const arm = arms.get(id) ?? null;
      if (sequence === undefined || was === undefined || (waitUntil !== null && arm === null)) return [];
      const zoneOf = (name: string | null): string => timeZoneOr(name, sequence.fallbackZone).zone;
      const zones = { before: zoneOf(was), after: zoneOf(timeZone) };
      const due = dueInNewZone(sequence, stepKey, { nextAt, now, arm, ...zones });
      return due === null ? [] : [{ id, due }];
    });
    if (moved.length === 0) return;
    await manager.query(
      `update enrollment e set next_at = u.due, wait_until = case when e.wait_until is not null then u.due end
       from unnest($1::bigint[], $2::timestamptz[]) as u (id, due) where e.id = u.id`,
      [moved.map(({ id }) => id), moved.map(({ due }) => due)],
    );
  }

  /** By enrollment, of those who wait for the time of their arm. */
  private async arms(
    manager: EntityManager,
    waiting: readonly Waiting[],
    versions: ReadonlyMap<string, { sequence: PreparedSequence }>,
  ): Promise<Map<string, string>> {
    const asks = waiting.flatMap(({ id, subscriberId, versionId, stepKey, waitUntil }) => {
      const sequence = waitUntil === null ? undefined : versions.get(versionId)?.sequence;
      const experiment = sequence === undefined ? null : timedTest(sequence, stepKey);
      return experiment === null ? [] : [{ id, experiment, subscriberId }];
    });
    const found = await loadAssignments(manager, asks);
    return new Map(asks.flatMap(({ id }, place) => (found[place] ? [[id, found[place].arm] as const] : [])));
  }
}
