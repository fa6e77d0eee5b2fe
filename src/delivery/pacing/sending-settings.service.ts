import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { OverdueService } from '../waiting/overdue.service.js';
import { bucketKeysOf } from './bucket-keys.js';
import { PacingQueries, type BucketRow } from './pacing.queries.js';
import { PacingService } from './pacing.service.js';
import { RECIPIENT_GROUPS } from '../message/recipient-group.js';
import type { Limit, SendingSettings } from './sending.schemas.js';

/** The owner's limits. They are the buckets themselves: what stands there is obeyed, in all workers within a second. */
@Injectable()
export class SendingSettingsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: PacingQueries,
    private readonly pacing: PacingService,
    private readonly overdue: OverdueService,
  ) {}

  async read(): Promise<SendingSettings> {
    const [rows, overdue] = await Promise.all([this.queries.all(), this.overdue.settings()]);
    const byKey = new Map(rows.map((row) => [row.key, row]));
    const global = byKey.get('global');
    return {
      global: global === undefined ? null : limitOf(global),
      senders: Object.fromEntries(
        rows
          .filter(({ key }) => key.startsWith('sender:'))
          .map((row) => [row.key.slice('sender:'.length), limitOf(row)]),
      ),
      groups: Object.fromEntries(
        RECIPIENT_GROUPS.flatMap((group) => {
          const row = byKey.get(`group:${group}`);
          return row === undefined ? [] : [[group, limitOf(row)]];
        }),
      ),
      overdue,
    };
  }

  /** Puts these limits in the place of all that were there. What was used today, and learnt paces, stay. */
  async replace({ global, senders, groups, overdue }: SendingSettings): Promise<void> {
    const limits: [string, Limit][] = [
      ...(global === null ? [] : [['global', global] satisfies [string, Limit]]),
      ...Object.entries(groups).flatMap(([group, one]): [string, Limit][] =>
        one === undefined ? [] : [[`group:${group}`, one]],
      ),
      ...Object.entries(senders).map(([domain, one]): [string, Limit] => [`sender:${domain}`, one]),
    ];
    const sent = await this.sentBefore(limits);
    await this.dataSource.transaction(async (manager) => {
      await this.queries.lockAll(manager);
      await this.queries.putLimits(
        manager,
        limits
          .filter(([, limit]) => Object.values(limit).some((value) => value !== undefined))
          .map(([key, { perSecond, burst, perDay, warmUp }]) => ({
            key,
            ratePerSecond: perSecond ?? null,
            burst: burst ?? null,
            dailyQuota: perDay ?? null,
            rampStartedOn: warmUp?.startedOn ?? null,
            sentToday: sent.get(key) ?? 0,
          })),
      );
      await this.overdue.setSettings(overdue, manager);
    });
    this.pacing.forgetCache();
    this.overdue.forgetCache();
  }

  /** What went today by each new limit of a day: a provider counts it, and a day of twice as many is one too long. */
  private async sentBefore(limits: readonly [string, Limit][]): Promise<ReadonlyMap<string, number>> {
    const known = new Set((await this.queries.keys()).map(({ key }) => key));
    const sent = new Map<string, number>();
    if (limits.every(([key, { perDay, warmUp }]) => known.has(key) || (perDay ?? warmUp) === undefined))
      return sent;
    for (const { queueKey, count } of await this.queries.sentToday())
      for (const key of bucketKeysOf(queueKey)) sent.set(key, (sent.get(key) ?? 0) + count);
    return sent;
  }
}

function limitOf({ ratePerSecond, burst, dailyQuota, rampStartedOn }: BucketRow): Limit {
  return {
    ...(ratePerSecond === null ? {} : { perSecond: ratePerSecond }),
    ...(burst === null ? {} : { burst }),
    ...(dailyQuota === null ? {} : { perDay: dailyQuota }),
    ...(rampStartedOn === null ? {} : { warmUp: { startedOn: rampStartedOn } }),
  };
}
