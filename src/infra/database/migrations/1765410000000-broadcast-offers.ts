import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What a broadcast offers, frozen when it begins: one row for its mail, or for each arm of its split test. Who got it is
 * found by the key of their mail, so that no row is written for each reader. Orders are found by the mail they came by.
 */
const broadcastOffers = `
alter table broadcast add column offer jsonb;
create table broadcast_offer (
  broadcast_id bigint not null references broadcast (id) on delete cascade,
  place smallint not null,
  offer_slug text not null,
  product_id bigint not null,
  amount_minor bigint not null,
  currency text not null,
  expires_at timestamptz,
  content jsonb not null,
  created_at timestamptz not null,
  primary key (broadcast_id, place)
);
create index broadcast_offer_slug on broadcast_offer (offer_slug);
create index conversion_message on conversion (message_id) where message_id is not null;
`;

export class BroadcastOffers1765410000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(broadcastOffers);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
