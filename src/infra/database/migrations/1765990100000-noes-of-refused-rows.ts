import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Why of a row of an import nothing is taken but what it says is not wanted. */
export class NoesOfRefusedRows1765990100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table import_row add column unread text');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
