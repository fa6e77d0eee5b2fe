import type { MigrationInterface, QueryRunner } from 'typeorm';

/** An affiliate who wants to be forgotten while money is owed to them: name and address stay until it is paid. */
export class LeavingAffiliates1765110010000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table affiliate add column forget_when_paid boolean not null default false');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
