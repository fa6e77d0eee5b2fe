import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A broadcast may be paused for one mailbox provider, and later for another. */
export class PausedForProviders1765860000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table broadcast add column paused_for_providers text[] not null default '{}'`);
    await runner.query(
      `update broadcast set paused_for_providers = array[paused_for_provider] where paused_for_provider is not null`,
    );
    await runner.query('alter table broadcast drop column paused_for_provider');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
