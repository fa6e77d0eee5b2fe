import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When the owner last let a paused broadcast go on, on the application's clock: no outage before it makes its mails late. */
export class LetGoAt1765490000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column let_go_at timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
