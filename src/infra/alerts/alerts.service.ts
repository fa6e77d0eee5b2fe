import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../clock.js';

type AlertSeverity = 'info' | 'warning' | 'critical';

/** What the owner should know and nobody else can put right. */
export interface Alert {
  id: string;
  /** What it is about, for example `relay:default` or `bounces:broadcast:7`; open once at a time. */
  key: string;
  severity: AlertSeverity;
  /** For people; names no address. */
  message: string;
  facts: Record<string, unknown>;
  raisedAt: Date;
  lastSeenAt: Date;
  resolvedAt: Date | null;
}

const ALERT = `select id, key, severity, message, facts, raised_at as "raisedAt", last_seen_at as "lastSeenAt",
  resolved_at as "resolvedAt" from alert`;

/** The owner's list of troubles. The only writer of `alert`; any module may raise one. */
@Injectable()
export class AlertsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Opens the alert, or says of the open one with that key that it is still so. What was mailed and has become less since is
   * over when it turns critical anew: that is a new one, or no mail would tell of it. Both or neither, also for a caller
   * without a transaction: one alone would leave the owner without either.
   */
  async raise(
    {
      key,
      severity,
      message,
      facts = {},
    }: Pick<Alert, 'key' | 'severity' | 'message'> & { facts?: Alert['facts'] },
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    const now = this.clock.now();
    await manager.transaction(async (together) => {
      if (severity === 'critical')
        await together.query(
          `update alert set resolved_at = $2
           where key = $1 and resolved_at is null and severity <> 'critical' and mailed_at is not null`,
          [key, now],
        );
      await together.query(
        `insert into alert (key, severity, message, facts, raised_at, last_seen_at) values ($1, $2, $3, $4, $5, $5)
         on conflict (key) where resolved_at is null
         do update set severity = excluded.severity, message = excluded.message, facts = excluded.facts,
           last_seen_at = excluded.last_seen_at`,
        [key, severity, message, JSON.stringify(facts), now],
      );
    });
  }

  /** The trouble is over; nothing happens when no alert with that key is open. */
  async resolve(key: string, manager: EntityManager = this.dataSource.manager): Promise<void> {
    await manager.query('update alert set resolved_at = $2 where key = $1 and resolved_at is null', [
      key,
      this.clock.now(),
    ]);
  }

  /** Whether there is one with that key, open or resolved. */
  async wasRaised(key: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query('select 1 from alert where key = $1 limit 1', [key]);
    return rows.length > 0;
  }

  /** Open ones only: the gravest first, of those the newest. */
  async open(): Promise<Alert[]> {
    return this.dataSource.query(
      `${ALERT} where resolved_at is null order by severity = 'critical' desc, severity = 'warning' desc, id desc`,
    );
  }

  /** Critical ones that are open and of which no mail has told the owner, oldest first; locks them. */
  async unmailed(manager: EntityManager): Promise<Alert[]> {
    return manager.query(
      `${ALERT} where resolved_at is null and severity = 'critical' and mailed_at is null order by id for update`,
    );
  }

  async wereMailed(manager: EntityManager, ids: readonly string[]): Promise<void> {
    await manager.query('update alert set mailed_at = $2 where id = any($1::bigint[])', [
      ids,
      this.clock.now(),
    ]);
  }

  /** Whether a mail has told of any since then. */
  async isMailedSince(manager: EntityManager, since: Date): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from alert where mailed_at > $1 limit 1', [since]);
    return rows.length > 0;
  }

  /** Open and resolved, newest first, below `beforeId`. */
  async list({ beforeId, limit }: { beforeId: string | undefined; limit: number }): Promise<Alert[]> {
    return this.dataSource.query(`${ALERT} where ($1::bigint is null or id < $1) order by id desc limit $2`, [
      beforeId ?? null,
      limit,
    ]);
  }
}
