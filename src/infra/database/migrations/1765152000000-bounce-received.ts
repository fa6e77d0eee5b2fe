import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The looks at what came back in the last days read those days, and not all that ever came back. */
export class BounceReceived1765152000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('create index bounce_received on bounce (received_at) where trusted');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
