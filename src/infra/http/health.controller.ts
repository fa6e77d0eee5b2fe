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

  /** 503 `DATABASE_UNAVAILABLE` or `SCHEMA_NOT_READY` while requests cannot be served. */
  @Get('/readyz')
  async ready(): Promise<{ status: 'ok' }> {
    const giveUp = new AbortController();
    const late = delay(READY_WITHIN_MS, 'late' as const, { signal: giveUp.signal, ref: false });
    try {
      const pending = await Promise.race([this.hasPendingMigrations(), late]);
      if (pending === 'late') throw new Error(`no answer within ${READY_WITHIN_MS} ms`);
      if (pending)
        throw new DomainError('SCHEMA_NOT_READY', 'Migrations are still to run: wellspring migrate');
    } catch (cause) {
      if (cause instanceof DomainError) throw cause;
      throw new DomainError('DATABASE_UNAVAILABLE', 'The database does not answer', {}, { cause });
    } finally {
      giveUp.abort();
      late.catch(() => undefined);
    }
    return { status: 'ok' };
  }

  @Get('/metrics')
  async metrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    reply.header('content-type', this.registry.contentType).header('cache-control', 'no-store');
    return this.registry.metrics();
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
