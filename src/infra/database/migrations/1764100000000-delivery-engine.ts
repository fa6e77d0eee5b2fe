import type { MigrationInterface, QueryRunner } from 'typeorm';

const ID = 'id bigint generated always as identity primary key';

const broadcasts = `
create table broadcast (
  ${ID}, key text unique, title text not null, email_template_id bigint not null references email_template,
  audience jsonb not null default '{}', sender jsonb not null, topic_key text,
  state text not null default 'draft' check (state in ('draft', 'scheduled', 'planning', 'running', 'paused', 'done', 'cancelled')),
  state_reason text, scheduled_at timestamptz, expires_at timestamptz,
  cursor_subscriber_id bigint not null default 0, audience_last_id bigint, planned_count bigint not null default 0,
  created_at timestamptz not null, started_at timestamptz, planned_at timestamptz, ended_at timestamptz);
create index broadcast_open on broadcast (state) where state in ('scheduled', 'planning', 'running', 'paused');
`;

/** The ledger's further facts. `held` is open: a person decides. Each other closing state is final. */
const ledger = `
alter table message
  add broadcast_id bigint references broadcast on delete set null,
  add relay text,
  add unknown_count smallint not null default 0,
  drop constraint message_state_check,
  add constraint message_state_check check (state in
    ('ready', 'held', 'leased', 'in_data', 'accepted', 'rejected', 'unknown', 'suppressed', 'expired', 'cancelled'));
create unique index message_broadcast_mailbox on message (broadcast_id, address_hash) where broadcast_id is not null;
drop index message_enrollment;
create index message_enrollment on message (enrollment_id, step_key) where enrollment_id is not null;
create index message_unclear on message (id) where state in ('unknown', 'held');
alter table message_attempt add relay text, add tls text;
`;

/** Token buckets shared by every worker, one row each: 'global', 'sender:<domain>', 'group:<recipient group>'. */
const pacing = `
create table send_bucket (
  key text primary key, rate_per_second double precision, burst double precision, tokens double precision not null default 0,
  refilled_at timestamptz not null, daily_quota bigint, quota_day date, used_today bigint not null default 0,
  slow_factor double precision not null default 1, slowed_at timestamptz, ramp_started_on date, updated_at timestamptz not null);
create table mail_domain (domain text primary key, group_key text not null, mx_host text, checked_at timestamptz not null);
create table relay_state (
  key text primary key, state text not null default 'closed' check (state in ('closed', 'open', 'half_open')),
  failures int not null default 0, opened_until timestamptz, reason text, updated_at timestamptz not null);
`;

const feedback = `
create table bounce (
  ${ID}, dedupe_key text not null unique, message_id bigint references message on delete set null,
  subscriber_id bigint references subscriber on delete set null, address_hash bytea,
  verdict text not null check (verdict in ('hard', 'soft', 'sender', 'complaint', 'ignore')), reason text not null,
  status_code text, reply_code int, diagnostic text, reporting_mta text, source text not null, trusted boolean not null,
  received_at timestamptz not null);
create index bounce_address on bounce (address_hash, received_at) where verdict = 'soft';
create index bounce_message on bounce (message_id);
create table topic_opt_out (
  subscriber_id bigint not null references subscriber on delete cascade, topic_key text not null,
  created_at timestamptz not null, primary key (subscriber_id, topic_key));
create table alert (
  ${ID}, key text not null, severity text not null check (severity in ('info', 'warning', 'critical')), message text not null,
  facts jsonb not null default '{}', raised_at timestamptz not null, last_seen_at timestamptz not null, resolved_at timestamptz);
create unique index alert_open on alert (key) where resolved_at is null;
alter table tracking_event add method text, add purpose text, add accepted_at timestamptz;
`;

/** The delivery engine: broadcasts, pacing, several relays, and what comes back. */
export class DeliveryEngine1764100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [broadcasts, ledger, pacing, feedback]) await runner.query(part);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
