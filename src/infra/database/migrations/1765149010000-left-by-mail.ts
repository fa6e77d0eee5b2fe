import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mails of unclear end by whose link somebody left, which proves that they arrived. Says nothing of a person, and few
 * mails are ever unclear.
 */
export class LeftByMail1765149010000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('create table left_by_mail (message_id bigint primary key, at timestamptz not null)');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
