import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a relay has put off since it last took a mail: all workers judge it by the same, also after a restart. */
export class PutOffs1765610000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table relay_state add column put_offs jsonb');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
