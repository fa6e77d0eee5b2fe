import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { takeFieldSignals, type FieldSignal } from '../../subscribers/field-signals.queries.js';
import { takeListSignals, takeTagSignals } from '../../subscribers/tag-signals.queries.js';
import type { Trigger } from '../steps/condition.js';
import { MailEntriesService } from './mail-entries.service.js';
import { HitSignalsService } from './hit-signals.service.js';
import type { FieldsOf } from './reactions.js';
import { ReactionsService } from './reactions.service.js';
import { ZoneChangesService, type ZoneBefore } from '../subscriber-changes/zone-changes.service.js';

const MOST = 500;

interface Signal {
  id: string;
  subscriberId: string;
  trigger: Trigger | null;
  before: FieldsOf | null;
  /** Whose step it was; null: written before that was written down. */
  enrollmentId: string | null;
}

/** What steps of sequences, forms, and imports have changed about people, told to the other sequences of the same people. */
@Injectable()
export class SignalsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly reactions: ReactionsService,
    private readonly hits: HitSignalsService,
    private readonly entries: MailEntriesService,
    private readonly zones: ZoneChangesService,
  ) {}

  /** One sort of signal for many people in each transaction, until none is left. Returns how many there were. */
  async takeAll(signal: AbortSignal): Promise<number> {
    await this.hits.take();
    await this.entries.take(signal);
    let taken = 0;
    for (let count = 1; count > 0 && !signal.aborted; taken += count) count = await this.takeSome();
    for (let count = 1; count > 0 && !signal.aborted; taken += count) count = await this.takeTags();
    for (let count = 1; count > 0 && !signal.aborted; taken += count) count = await this.takeLists();
    for (let count = 1; count > 0 && !signal.aborted; taken += count) count = await this.takeFields();
    return taken;
  }

  private async takeTags(): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const taken = await takeTagSignals(manager, MOST);
      if (taken === null) return 0;
      await this.reactions.happened(manager, taken.subscriberIds, { kind: 'tag', tag: taken.tag });
      return taken.subscriberIds.length;
    });
  }

  private async takeLists(): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const taken = await takeListSignals(manager, MOST);
      if (taken === null) return 0;
      const { kind, list, subscriberIds } = taken;
      await this.reactions.happened(manager, subscriberIds, { kind, list });
      return subscriberIds.length;
    });
  }

  private async takeFields(): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const taken = await takeFieldSignals(manager, MOST);
      const before = new Map(
        taken.flatMap((one): [string, FieldsOf][] => (one.before ? [[one.subscriberId, one.before]] : [])),
      );
      await this.zones.changed(manager, zonesBefore(taken));
      if (before.size > 0) await this.reactions.changed(manager, [...before.keys()], { before });
      const arrived = taken.flatMap((one) => (one.before === null ? [one.subscriberId] : []));
      if (arrived.length > 0) await this.reactions.arrived(manager, arrived);
      return taken.length;
    });
  }

  /** Two workers take disjoint ones. */
  private async takeSome(): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const [rows]: [Signal[], number] = await manager.query(
        `delete from sequence_signal where id in (
           select id from sequence_signal
           where trigger = (select trigger from sequence_signal order by id limit 1) order by id limit ${MOST}
           for update skip locked)
         returning id, subscriber_id as "subscriberId", trigger, before, enrollment_id as "enrollmentId"`,
      );
      const [first] = rows;
      if (!first) return 0;
      const causes = new Map<string, (string | null)[]>();
      for (const { subscriberId: id, enrollmentId } of rows)
        causes.set(id, [...(causes.get(id) ?? []), enrollmentId]);
      const people = [...causes.keys()];
      if (first.trigger === null)
        await this.reactions.changed(manager, people, { before: earliest(rows), causes });
      else await this.reactions.happened(manager, people, first.trigger, { causes });
      return rows.length;
    });
  }
}

/** Of those whose time zone has changed. */
function zonesBefore(taken: readonly FieldSignal[]): Map<string, ZoneBefore> {
  return new Map(
    taken.flatMap(({ subscriberId, zoneBefore: zone, zoneChangedAt: changedAt }) =>
      zone === null ? [] : [[subscriberId, { zone: zone === '' ? null : zone, changedAt }] as const],
    ),
  );
}

/** What the fields of each person held before the first of the changes. */
function earliest(signals: readonly Signal[]): Map<string, FieldsOf> {
  const before = new Map<string, FieldsOf>();
  for (const { subscriberId, before: held } of signals.toSorted((a, b) => Number(a.id) - Number(b.id)))
    if (held !== null && !before.has(subscriberId)) before.set(subscriberId, held);
  return before;
}
