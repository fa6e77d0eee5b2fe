import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Steps that wait for a local time are found when somebody's clock changes by a form or an import. Empty: it was not known. */
export class ZonesBefore1765270100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table field_signal add column zone_before text');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
