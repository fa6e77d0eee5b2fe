import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Domains whose mail is signed, without their keys: a worker that has lost its folder of keys, or never had one, knows by
 * this that it must not send for them. `signing_since` is null between making a key and the first mail signed with it.
 */
export class SignedDomains1764710000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create table signed_domain (domain text primary key, created_at timestamptz not null, signing_since timestamptz)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
