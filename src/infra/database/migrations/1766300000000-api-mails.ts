import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mails that a program asks for one by one. What it gave for them is found when it has been kept for long enough, and those to
 * somebody who was no subscriber then are found by their address; no other mail pays for either. Kinds are not checked anew:
 * what is there is one of fewer.
 */
export class ApiMails1766300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table message drop constraint message_kind_check');
    await runner.query(
      `alter table message add constraint message_kind_check
       check (kind in ('confirmation', 'sequence', 'broadcast', 'receipt', 'notice', 'api')) not valid`,
    );
    await runner.query(
      `create index message_api_reader on message (address_hash) where kind = 'api' and subscriber_id is null`,
    );
    await runner.query(
      `create index message_api_data on message (settled_at) where kind = 'api' and data <> '{}'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
