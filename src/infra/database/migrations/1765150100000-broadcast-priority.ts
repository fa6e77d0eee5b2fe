import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which mail goes first, of a broadcast and a sequence that a person gets at the same time. */
export class BroadcastPriority1765150100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'alter table broadcast add column priority smallint not null default 5 check (priority between 1 and 9)',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
