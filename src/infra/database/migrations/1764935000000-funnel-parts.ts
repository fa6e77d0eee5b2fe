import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What a version of a funnel was made of, so that it can be restored when its templates and files have changed since:
 * ids of mails and stored files by their names. Null for versions of before. `restored`: the version it brought back.
 */
const parts = `
alter table funnel_version add column parts jsonb, add column restored int;
`;

export class FunnelParts1764935000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(parts);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
