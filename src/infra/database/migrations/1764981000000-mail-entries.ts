import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Opens, clicks and fields may begin a sequence. `entry_hit`: the first open or click of a mail has been looked at.
 * `before`: what the fields of a person held before a step set them.
 */
const MAIL_ENTRIES = `
alter table sequence add column mail_entries jsonb, add column mail_entries_since timestamptz;
create table entry_hit (
  message_id bigint not null,
  kind text not null,
  primary key (message_id, kind)
);
alter table sequence_signal add column before jsonb;
`;

export class MailEntries1764981000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MAIL_ENTRIES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
