import type { MigrationInterface, QueryRunner } from 'typeorm';

const UPSELLS = `
alter table offer add column upsell_slug text, add column downsell_slug text;
alter table orders add column parent_order_id bigint references orders on delete cascade;
create index orders_parent on orders (parent_order_id) where parent_order_id is not null;
create table upsell (
  id bigint generated always as identity primary key,
  order_id bigint not null references orders on delete cascade, offer_id bigint not null references offer,
  kind text not null check (kind in ('upsell', 'downsell')), downsell_slug text,
  created_at timestamptz not null, shown_at timestamptz,
  answer text check (answer in ('taken', 'declined', 'withdrawn')), answered_at timestamptz,
  taken_order_id bigint references orders on delete set null, unique (order_id, offer_id));
create index upsell_offer on upsell (offer_id, shown_at);
create index upsell_taken on upsell (taken_order_id) where taken_order_id is not null;
`;

/**
 * What is offered after a paid order: each offer once for each order, with what came of it. Slugs, not ids: an offer may
 * lead to one that is published after it.
 */
export class Upsells1765107200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(UPSELLS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
