import type { MigrationInterface, QueryRunner } from 'typeorm';

/** No personal data: what a webhook or a mail says of a person is put together when it goes, if the person is still there. */
const outboxes = `
create table webhook_delivery (
  id bigint generated always as identity primary key, enrollment_id bigint not null, step_key text not null, url text not null,
  state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')), attempt int not null default 0,
  due_at timestamptz not null, status_code int, reason text, created_at timestamptz not null, settled_at timestamptz,
  unique (enrollment_id, step_key));
create index webhook_delivery_due on webhook_delivery (due_at) where state = 'waiting';
create table owner_notice (
  id bigint generated always as identity primary key, enrollment_id bigint not null references enrollment on delete cascade,
  step_key text not null, notice text not null, created_at timestamptz not null, sent_at timestamptz,
  unique (enrollment_id, step_key));
create index owner_notice_waiting on owner_notice (id) where sent_at is null;
`;

/** What steps of sequences tell others: the owner's programs by webhook, the owner by mail. */
export class SequenceOutboxes1764850000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(outboxes);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
