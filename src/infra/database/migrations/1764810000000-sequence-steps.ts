import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A step may wait for anything that happens to a person, not for a click alone. `wait_until` is when the wait is over,
 * `watches` the steps whose mails' opens and clicks end it; `had` what does not come again after a move to another
 * version; `entry_key` the event that began the enrollment.
 */
const waits = `
alter table enrollment add column wait_until timestamptz, add column watches text[], add column had jsonb, add column entry_key text;
update enrollment e set wait_until = e.next_at, watches = array[m.step_key]
  from message m where m.id = e.waiting_message_id and e.status = 'active' and m.step_key is not null;
alter table enrollment drop column waiting_message_id;
create index enrollment_watching on enrollment (id) where watches is not null;
create unique index enrollment_entry on enrollment (sequence_id, subscriber_id, entry_key) where entry_key is not null;
`;

/** What the API tells of people, and what sequences have changed about them and must answer to in their turn. */
const events = `
create table subscriber_event (
  id bigint generated always as identity primary key, subscriber_id bigint not null references subscriber on delete cascade,
  name text not null, key text, at timestamptz not null, created_at timestamptz not null);
create index subscriber_event_subscriber on subscriber_event (subscriber_id, name, at);
create unique index subscriber_event_key on subscriber_event (subscriber_id, name, key) where key is not null;
create table sequence_signal (
  id bigint generated always as identity primary key, subscriber_id bigint not null, trigger jsonb not null, created_at timestamptz not null);
`;

/** Steps that wait for what happens, events of the API. */
export class SequenceSteps1764810000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [waits, events]) await runner.query(part);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
