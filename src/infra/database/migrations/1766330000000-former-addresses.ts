import type { MigrationInterface, QueryRunner } from 'typeorm';

/** An import asks of each row whose address nobody has whether somebody had it before: without it, all changes were read for each. */
export class FormerAddresses1766330000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'create index address_change_before on address_change (key_before) where key_before is not null',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
