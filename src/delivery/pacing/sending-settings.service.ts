import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { OverdueService } from '../waiting/overdue.service.js';
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
          })),
      );
      await this.overdue.setSettings(overdue, manager);
    });
    this.pacing.forgetCache();
    this.overdue.forgetCache();
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
