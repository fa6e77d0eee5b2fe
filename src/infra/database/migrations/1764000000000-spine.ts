import type { MigrationInterface, QueryRunner } from 'typeorm';

const ID = 'id bigint generated always as identity primary key';

const infra = `
create table setting (key text primary key, value jsonb not null, updated_at timestamptz not null);
create table stored_file (
  ${ID}, sha256 bytea not null, file_name text not null, content_type text not null,
  size_bytes bigint not null, created_at timestamptz not null, unique (sha256, file_name));
create table api_key (
  ${ID}, name text not null, prefix text not null unique, secret_hash bytea not null,
  created_at timestamptz not null, last_used_at timestamptz, revoked_at timestamptz);
create table idempotency_key (
  api_key_id bigint not null, key text not null, request_hash bytea not null, status int, response jsonb,
  started_at timestamptz not null, finished_at timestamptz, primary key (api_key_id, key));
create table owner (
  ${ID}, email text not null, email_key text not null unique, password_hash text not null, created_at timestamptz not null);
create table owner_session (
  token_hash bytea primary key, owner_id bigint not null references owner on delete cascade,
  created_at timestamptz not null, expires_at timestamptz not null);
create table rate_limit (key varchar(255) primary key, points integer not null default 0, expire bigint);
create table mailbox_mail (
  ${ID}, envelope_from text not null, envelope_to text not null, subject text not null, from_text text not null,
  message_id_header text, raw bytea not null, received_at timestamptz not null, read_at timestamptz);
`;

const subscribers = `
create table subscriber (
  ${ID}, email text not null, email_key text not null unique, name text,
  status text not null check (status in ('pending', 'active', 'unsubscribed', 'bounced', 'complained')),
  time_zone text, locale text, fields jsonb not null default '{}', tracking_consent boolean not null default true,
  created_at timestamptz not null, confirmed_at timestamptz, updated_at timestamptz not null);
create table consent_event (
  ${ID}, subscriber_id bigint not null references subscriber on delete cascade,
  kind text not null check (kind in ('granted', 'confirmed', 'withdrawn')), purpose text not null,
  consent_text text, text_hash bytea, form_slug text, page_url text, ip inet, user_agent text, at timestamptz not null);
create index consent_event_subscriber on consent_event (subscriber_id, id);
create table tag (${ID}, name text not null unique, created_at timestamptz not null);
create table subscriber_tag (
  subscriber_id bigint not null references subscriber on delete cascade, tag_id bigint not null references tag on delete cascade,
  created_at timestamptz not null, primary key (subscriber_id, tag_id));
create index subscriber_tag_tag on subscriber_tag (tag_id);
create table suppression (
  ${ID}, email_hash bytea not null, scope text not null check (scope in ('all', 'marketing')),
  reason text not null check (reason in ('unsubscribed', 'hard_bounce', 'complaint', 'erased', 'manual')),
  source text not null, created_at timestamptz not null, unique (email_hash, scope));
`;

const delivery = `
create table email_template (
  ${ID}, key text not null, content_hash bytea not null, mjml_source text not null, subject text not null,
  html text not null, body_text text not null, created_at timestamptz not null, unique (key, content_hash));
create table link (${ID}, url_template text not null, url_hash bytea not null unique, created_at timestamptz not null);
create table message (
  ${ID}, dedupe_key text not null unique,
  class text not null check (class in ('transactional', 'marketing')),
  kind text not null check (kind in ('confirmation', 'sequence', 'broadcast', 'receipt', 'notice')),
  subscriber_id bigint references subscriber on delete set null, funnel_key text, enrollment_id bigint, step_key text,
  email_template_id bigint not null references email_template, data jsonb not null default '{}',
  sender jsonb not null, address text not null, address_hash bytea not null, message_id_header text not null,
  state text not null default 'ready' check (state in
    ('ready', 'leased', 'in_data', 'accepted', 'rejected', 'unknown', 'suppressed', 'expired', 'cancelled')),
  state_reason text, due_at timestamptz not null, expires_at timestamptz, priority smallint not null default 5,
  lane_key text not null default 'default', attempt int not null default 0,
  lease_owner text, lease_epoch int not null default 0, lease_until timestamptz,
  data_at timestamptz, settled_at timestamptz, accepted_at timestamptz, reply_code int, reply_text text,
  created_at timestamptz not null) with (fillfactor = 70);
create index message_ready on message (lane_key, priority, due_at, id) where state = 'ready';
create index message_lease on message (lease_until) where state in ('leased', 'in_data');
create index message_subscriber on message (subscriber_id, id);
create index message_enrollment on message (enrollment_id, step_key);
create index message_funnel on message (funnel_key, step_key);
create table message_attempt (
  message_id bigint not null references message on delete cascade, epoch int not null, started_at timestamptz not null,
  finished_at timestamptz not null, stage text not null, outcome text not null, reply_code int, reply_text text,
  primary key (message_id, epoch));
`;

const tracking = `
create table tracking_event (
  ${ID}, kind text not null check (kind in ('open', 'click')),
  message_id bigint not null references message on delete cascade, link_id bigint references link,
  class text not null check (class in ('human', 'proxy', 'scanner', 'unknown')), reason text not null,
  rule_version int not null, user_agent text, ip_hash bytea, at timestamptz not null);
create index tracking_event_message on tracking_event (message_id, kind);
create table visit (
  ${ID}, visitor_id bytea not null, page text not null check (page in ('squeeze', 'offer', 'checkout')),
  slug text not null, funnel_key text not null, subscriber_id bigint references subscriber on delete set null,
  message_id bigint references message on delete set null,
  class text not null check (class in ('human', 'scanner', 'unknown')), user_agent text, referrer text,
  utm jsonb, at timestamptz not null);
create index visit_funnel on visit (funnel_key, page, at);
create table conversion (
  ${ID}, kind text not null check (kind in ('signup', 'confirmation', 'order')), funnel_key text not null,
  dedupe_key text not null unique, subscriber_id bigint references subscriber on delete set null, visitor_id bytea,
  message_id bigint references message on delete set null, order_id bigint, amount_minor bigint, currency text, at timestamptz not null);
create index conversion_funnel on conversion (funnel_key, kind, at);
`;

const sequences = `
create table sequence (
  ${ID}, key text not null unique, funnel_key text not null, title text not null, sender jsonb not null,
  current_version_id bigint, created_at timestamptz not null, updated_at timestamptz not null);
create table sequence_version (
  ${ID}, sequence_id bigint not null references sequence on delete cascade, version int not null,
  definition jsonb not null, definition_hash bytea not null, created_at timestamptz not null, unique (sequence_id, version));
alter table sequence add foreign key (current_version_id) references sequence_version;
create table enrollment (
  ${ID}, sequence_id bigint not null references sequence, version_id bigint not null references sequence_version,
  subscriber_id bigint not null references subscriber on delete cascade, occurrence int not null default 1,
  status text not null check (status in ('active', 'completed', 'exited')), exit_reason text,
  step_key text, next_at timestamptz, waiting_message_id bigint references message on delete set null,
  data jsonb not null default '{}', started_at timestamptz not null, ended_at timestamptz,
  unique (sequence_id, subscriber_id, occurrence));
create index enrollment_due on enrollment (next_at, id) where status = 'active';
create index enrollment_waiting on enrollment (waiting_message_id) where waiting_message_id is not null;
create index enrollment_subscriber on enrollment (subscriber_id);
create table enrollment_step (
  enrollment_id bigint not null references enrollment on delete cascade, step_key text not null, outcome text not null,
  message_id bigint references message on delete set null, at timestamptz not null, primary key (enrollment_id, step_key));
create table enrollment_offer (
  enrollment_id bigint not null references enrollment on delete cascade, offer_slug text not null,
  subscriber_id bigint not null references subscriber on delete cascade, expires_at timestamptz,
  created_at timestamptz not null, primary key (enrollment_id, offer_slug));
create index enrollment_offer_subscriber on enrollment_offer (subscriber_id, offer_slug);
alter table message add foreign key (enrollment_id) references enrollment on delete set null;
`;

const shop = `
create table form (
  ${ID}, slug text not null unique, funnel_key text not null, template text not null,
  opt_in text not null check (opt_in in ('double', 'single')), consent_text text not null, content jsonb not null,
  lead_magnet_file_id bigint references stored_file, sequence_key text not null, sender jsonb not null,
  created_at timestamptz not null, updated_at timestamptz not null, archived_at timestamptz);
create table signup (
  ${ID}, form_id bigint not null references form, subscriber_id bigint not null references subscriber on delete cascade,
  status text not null check (status in ('pending', 'confirmed')), visitor_id bytea, confirmation_count int not null default 0,
  created_at timestamptz not null, confirmed_at timestamptz, unique (form_id, subscriber_id));
create table product (
  ${ID}, key text not null unique, funnel_key text not null, name text not null, description text not null default '',
  amount_minor bigint not null check (amount_minor >= 0), currency text not null, file_ids jsonb not null default '[]',
  licence boolean not null default false, created_at timestamptz not null, updated_at timestamptz not null, archived_at timestamptz);
create table offer (
  ${ID}, slug text not null unique, funnel_key text not null, product_id bigint not null references product,
  content jsonb not null, discount_bps int not null default 0 check (discount_bps between 0 and 10000),
  bump_product_id bigint references product, personal_deadline boolean not null default false, sender jsonb not null,
  created_at timestamptz not null, updated_at timestamptz not null, archived_at timestamptz);
create table orders (
  ${ID}, number text not null unique, funnel_key text not null, offer_id bigint not null references offer,
  subscriber_id bigint references subscriber on delete set null, message_id bigint references message on delete set null,
  visitor_id bytea, email text not null, name text,
  status text not null check (status in ('pending', 'paid', 'declined', 'refunded')),
  amount_minor bigint not null check (amount_minor >= 0), currency text not null,
  provider text not null, provider_ref text, created_at timestamptz not null, paid_at timestamptz,
  unique (provider, provider_ref));
create index orders_funnel on orders (funnel_key, status, paid_at);
create table order_line (
  ${ID}, order_id bigint not null references orders on delete cascade, product_id bigint not null references product,
  kind text not null check (kind in ('main', 'bump')), full_amount_minor bigint not null, amount_minor bigint not null,
  unique (order_id, product_id));
create table licence (
  ${ID}, key text not null unique, order_line_id bigint not null unique references order_line on delete cascade, created_at timestamptz not null);
create table funnel (
  ${ID}, key text not null unique, title text not null, definition json not null, definition_hash bytea not null,
  version int not null, created_at timestamptz not null, updated_at timestamptz not null);
create table funnel_version (
  funnel_id bigint not null references funnel on delete cascade, version int not null, definition json not null,
  applied_at timestamptz not null, primary key (funnel_id, version));
`;

/**
 * The whole path from squeeze page to sale. Each table is written by one module only; the foreign keys cross modules,
 * the code does not. `message` is the send ledger: its unique `dedupe_key` is what keeps a step from reaching a person
 * twice, whatever crashed in between.
 */
export class Spine1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [infra, subscribers, delivery, tracking, sequences, shop]) await runner.query(part);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
