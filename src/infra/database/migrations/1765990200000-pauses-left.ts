import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Until when each pause would have lasted that the person ended or changed, the last one first. */
export class PausesLeft1765990200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table subscriber add column pauses_left timestamptz[] not null default '{}'`);
    await runner.query(
      `update subscriber set pauses_left = array[pause_overruled_until] where pause_overruled_until is not null`,
    );
    await runner.query('alter table subscriber drop column pause_overruled_until');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
