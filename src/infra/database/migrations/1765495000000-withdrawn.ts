import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Why a mail is not wanted any more, written down while a try of it may be under way: should that fail, there is no other. */
export class Withdrawn1765495000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table message add column withdrawn text');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
