import type { MigrationInterface, QueryRunner } from 'typeorm';

/** People who by an imported table do not want to be counted any more, until what was seen of them is gone. */
export class SeenToForget1765800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'create table seen_to_forget (subscriber_id bigint primary key references subscriber on delete cascade)',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
