import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What tells the key of an empty database from that of another one with the same SECRET_KEY: see `installationKey`. One that
 * has been used before has links in mails that it must go on to know, so it gets none.
 */
export class InstallationSalt1765711000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `insert into setting (key, value, updated_at)
       select 'installation.salt', jsonb_build_object('salt', gen_random_uuid()), clock_timestamp()
       where not exists (select 1 from setting) and not exists (select 1 from subscriber)
         and not exists (select 1 from message) and not exists (select 1 from suppression)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
