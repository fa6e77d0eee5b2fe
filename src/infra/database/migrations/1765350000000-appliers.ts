import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who applied a version of a funnel; null for those of before. Without a default, so that no row is written anew. */
const appliers = `
alter table funnel_version add column applied_by text;
`;

export class Appliers1765350000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(appliers);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
