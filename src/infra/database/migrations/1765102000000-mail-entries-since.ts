import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Each trigger of `mail_entries` says itself since when it is listened for. */
const MAIL_ENTRIES_SINCE = `
update sequence set mail_entries = (
  select jsonb_agg(t || jsonb_build_object('since', mail_entries_since)) from jsonb_array_elements(mail_entries) t)
where mail_entries is not null;
alter table sequence drop column mail_entries_since;
`;

export class MailEntriesSince1765102000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MAIL_ENTRIES_SINCE);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
