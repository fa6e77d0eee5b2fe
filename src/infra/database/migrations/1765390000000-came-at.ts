import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When a person came to their step, where that was not when they are due there: waits for an event go by it. No row is
 * written: a table of millions is changed in no time.
 */
export class CameAt1765390000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table enrollment add column came_at timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
