import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = ['visit', 'conversion', 'signup', 'bounce', 'orders'];

/** Deleting a person looks for them in every table that points at them; without an index each is read whole. */
export class ErasureIndexes1764210000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of TABLES) {
      await runner.query(
        `create index ${table}_subscriber on ${table} (subscriber_id) where subscriber_id is not null`,
      );
    }
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
