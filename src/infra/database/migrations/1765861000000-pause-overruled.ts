import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Until when the longest pause would have lasted that the person ended or made shorter. Of earlier ends nobody knows. */
export class PauseOverruled1765861000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table subscriber add column pause_overruled_until timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
