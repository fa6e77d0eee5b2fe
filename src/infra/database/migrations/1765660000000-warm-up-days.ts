import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A warm-up grows by the days on which mails went. Of one that is under way, all days until its last mail count as such. */
export class WarmUpDays1765660000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table send_bucket add column ramp_days_used int not null default 0');
    await runner.query(
      'update send_bucket set ramp_days_used = greatest(0, quota_day - ramp_started_on) where ramp_started_on is not null and quota_day is not null',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
