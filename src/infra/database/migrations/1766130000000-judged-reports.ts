import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When the owner last let a broadcast go on that was paused for what came back of it, on the database's clock, and the last
 * report that there was of it then: what they have judged. Of those before nobody knows why they were paused.
 */
export class JudgedReports1766130000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'alter table broadcast add column judged_at timestamptz, add column judged_report bigint',
    );
    await runner.query(
      `update broadcast k set judged_at = k.resumed_at,
         judged_report = coalesce((select max(b.id) from bounce b where b.broadcast_id = k.id), 0)
       where k.resumed_at is not null and k.state in ('scheduled', 'planning', 'running', 'paused')`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
