import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Registry } from 'prom-client';
import { DataSource } from 'typeorm';
import { DomainError } from '../../values/domain-error.js';

/** A balancer asks every few seconds: an answer that takes longer is as good as none. */
const READY_WITHIN_MS = 2_000;

/** For whoever runs the process: alive, ready, and its numbers. Says nothing about anybody's data. */
@Controller()
export class HealthController {
  constructor(
    private readonly dataSource: DataSource,
    private readonly registry: Registry,
  ) {}

  @Get('/healthz')
  alive(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /**
   * 503 `DATABASE_UNAVAILABLE` or `SCHEMA_NOT_READY` while requests cannot be served. What keeps mail from leaving does not
   * keep pages from being served: it counts among the open alerts alone.
   */
  @Get('/readyz')
  async ready(): Promise<{ status: 'ok'; criticalAlerts: number }> {
    const giveUp = new AbortController();
    const late = delay(READY_WITHIN_MS, 'late' as const, { signal: giveUp.signal, ref: false });
    try {
      const state = await Promise.race([this.state(), late]);
      if (state === 'late') throw new Error(`no answer within ${READY_WITHIN_MS} ms`);
      if (state === 'pending')
        throw new DomainError('SCHEMA_NOT_READY', 'Migrations are still to run: wellspring migrate');
      return { status: 'ok', criticalAlerts: state.criticalAlerts };
    } catch (cause) {
      if (cause instanceof DomainError) throw cause;
      throw new DomainError('DATABASE_UNAVAILABLE', 'The database does not answer', {}, { cause });
    } finally {
      giveUp.abort();
      late.catch(() => undefined);
    }
  }

  @Get('/metrics')
  async metrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    reply.header('content-type', this.registry.contentType).header('cache-control', 'no-store');
    return this.registry.metrics();
  }

  private async state(): Promise<'pending' | { criticalAlerts: number }> {
    if (await this.hasPendingMigrations()) return 'pending';
    const rows: { open: number }[] = await this.dataSource.query(
      `select count(*)::int as open from alert where resolved_at is null and severity = 'critical'`,
    );
    return { criticalAlerts: rows[0]?.open ?? 0 };
  }

  // Not TypeORM's `showMigrations`: that one may create a table, and keeps its connection for good when the database
  // fails, so that a balancer asking through an outage would use up the pool.
  private async hasPendingMigrations(): Promise<boolean> {
    const [table]: { there: boolean }[] = await this.dataSource.query(
      `select to_regclass('schema_migration') is not null as there`,
    );
    if (table?.there !== true) return true;
    const rows: { name: string }[] = await this.dataSource.query('select name from schema_migration');
    const done = new Set(rows.map(({ name }) => name));
    return this.dataSource.migrations.some(
      (migration) => !done.has(migration.name ?? migration.constructor.name),
    );
  }
}
