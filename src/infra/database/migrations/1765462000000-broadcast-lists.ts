import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The lists that a broadcast is for, as `listsOf` tells them; null for nearly all. Those under way go on as they began. */
const LISTS = `alter table broadcast add column lists jsonb`;

export class BroadcastLists1765462000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(LISTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
