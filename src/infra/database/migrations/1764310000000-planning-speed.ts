import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A foreign key costs a look-up and a lock on the other row for each mail that is planned: 27 of 53 µs. What they held is
 * held elsewhere: template versions and broadcasts are never deleted, erasing a person takes the ids out of the messages
 * first (`MessagesQueries.forget`), and an offer goes with its enrollment.
 */
const foreignKeys = `
alter table message drop constraint message_email_template_id_fkey, drop constraint message_enrollment_id_fkey,
  drop constraint message_subscriber_id_fkey, drop constraint message_broadcast_id_fkey;
alter table enrollment_offer drop constraint enrollment_offer_subscriber_id_fkey;
alter table enrollment_step drop column message_id;
`;

/**
 * Every index is written when a mail is planned and again at each change of its state. Messages of an enrollment are
 * found by its subscriber; a funnel's report counts only what was sent. `message_broadcast_open` tells whether a
 * broadcast is complete, and finds what is left to cancel.
 */
const indexes = `
drop index message_enrollment;
drop index message_funnel;
create index message_funnel on message (funnel_key, step_key) where state in ('accepted', 'unknown');
create index message_broadcast_open on message (broadcast_id, state)
  where broadcast_id is not null and state in ('ready', 'held', 'leased', 'in_data');
alter table enrollment drop constraint enrollment_sequence_id_subscriber_id_occurrence_key,
  add unique (subscriber_id, sequence_id, occurrence);
drop index enrollment_subscriber;
`;

/** Planning a million mails in a minute. */
export class PlanningSpeed1764310000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [foreignKeys, indexes]) await runner.query(part);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
