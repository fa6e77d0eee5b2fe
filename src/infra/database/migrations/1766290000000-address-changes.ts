import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What became of people's addresses: one that somebody asks for and has not confirmed yet (`changed_at` is null), and each that
 * was given up for another. Who is erased is forgotten under all of them.
 */
export class AddressChanges1766290000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create table address_change (
         id bigint generated always as identity primary key,
         subscriber_id bigint not null references subscriber on delete cascade,
         email text not null, email_key text not null, email_before text, key_before text, source text not null,
         asked_at timestamptz not null, changed_at timestamptz,
         check ((changed_at is null) = (email_before is null)), check ((email_before is null) = (key_before is null)))`,
    );
    await runner.query('create index address_change_subscriber on address_change (subscriber_id, id)');
    await runner.query(
      'create index address_change_asked on address_change (asked_at) where changed_at is null',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
