import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lists that people join and leave by themselves. A constant default: no row is written anew. */
const PUBLIC_LISTS = `
alter table list add column is_public boolean not null default false;
`;

export class PublicLists1765400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PUBLIC_LISTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
