import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Why people leave, by the funnel whose mail they left by; one row a person, which goes with them. */
export class LeaveReasons1764200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table leave_reason (
        id bigint generated always as identity primary key,
        subscriber_id bigint not null unique references subscriber on delete cascade, funnel_key text,
        reason text not null check (reason in ('too_many', 'not_useful', 'not_asked', 'bought', 'other')),
        comment text, at timestamptz not null)`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
