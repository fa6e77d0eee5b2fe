import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a mail should have gone, once `due_at` has moved by a new try: how late it is must not be forgotten. */
export class PlannedFor1764600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table message add column planned_for timestamptz`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
