import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Versions of mails of before one is refused that hides its way out or its sender's address: these go on as they are. */
export class JudgedMails1765540000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table email_template add column is_judged boolean not null default false');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
