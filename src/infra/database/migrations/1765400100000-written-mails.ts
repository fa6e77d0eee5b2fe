import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Mails that the owner writes in the web app, beside those of the folder `templates`. */
const WRITTEN_MAILS = `
create table written_mail (
  id bigint generated always as identity primary key, key text not null unique, subject text not null,
  preview text not null default '', body text not null, created_at timestamptz not null, updated_at timestamptz not null);
`;

export class WrittenMails1765400100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(WRITTEN_MAILS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
