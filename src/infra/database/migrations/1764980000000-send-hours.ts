import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The hours in which a sequence's mails may go hold also for what comes late. `planned_for`: when a step was due that
 * waits for its next opening, for the owner to read.
 */
const SEND_HOURS = `
create table send_hours (
  id int generated always as identity primary key,
  spans jsonb not null,
  time_zone text not null,
  unique (spans, time_zone)
);
alter table message add column send_hours_id int;
alter table enrollment add column planned_for timestamptz;
`;

export class SendHours1764980000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SEND_HOURS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
