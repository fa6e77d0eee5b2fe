import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Where somebody was before they were taken to another version: `[{"id": "12", "until": "2026-01-05T09:00:00+00:00"}]`,
 * oldest first. Null for nearly everybody; what was planned for them then is explained by the version of then.
 */
export class VersionsBefore1765135000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table enrollment add column versions_before jsonb');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
