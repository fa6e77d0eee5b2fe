import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Types of own fields, lists, and segments. A hit knows its reader, so that "clicked in the last 30 days" is one range of
 * an index over a million people; reading the reader from each mail took a look-up per hit.
 */
const SEGMENTS = `
create table subscriber_field (
  id bigint generated always as identity primary key, key text not null unique, label text not null,
  type text not null check (type in ('text', 'number', 'date', 'boolean', 'choice')),
  choices jsonb not null default '[]', created_at timestamptz not null);

create table list (
  id bigint generated always as identity primary key, key text not null unique, title text not null,
  description text not null default '', created_at timestamptz not null);
create table list_member (
  list_id bigint not null references list (id) on delete cascade,
  subscriber_id bigint not null references subscriber (id) on delete cascade,
  created_at timestamptz not null, primary key (subscriber_id, list_id));
create index list_member_list on list_member (list_id, subscriber_id);

create table segment (
  id bigint generated always as identity primary key, key text not null unique, title text not null,
  conditions jsonb not null, created_at timestamptz not null, updated_at timestamptz not null);

alter table broadcast add segments jsonb;

drop index subscriber_tag_tag;
create index subscriber_tag_tag on subscriber_tag (tag_id, subscriber_id);
create index subscriber_status on subscriber (status, id);

alter table tracking_event add subscriber_id bigint;
update tracking_event e set subscriber_id = m.subscriber_id from message m where m.id = e.message_id;
create index tracking_event_reader on tracking_event (kind, at) include (subscriber_id, class)
  where class in ('human', 'unknown') and subscriber_id is not null;
create index tracking_event_of_reader on tracking_event (subscriber_id, kind, at)
  where class in ('human', 'unknown') and subscriber_id is not null;
`;

export class Segments1764840000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SEGMENTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
