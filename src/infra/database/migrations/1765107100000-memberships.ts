import type { MigrationInterface, QueryRunner } from 'typeorm';

const MEMBERSHIPS = `
alter table product add column membership text;
create table membership (
  id bigint generated always as identity primary key,
  subscriber_id bigint not null references subscriber on delete cascade, product_id bigint not null references product,
  state text not null check (state in ('active', 'ended', 'refunded')),
  starts_at timestamptz not null, ends_at timestamptz, created_at timestamptz not null, updated_at timestamptz not null,
  unique (subscriber_id, product_id));
create index membership_product on membership (product_id, state);
create index membership_due on membership (ends_at) where state = 'active' and ends_at is not null;
create table membership_change (
  id bigint generated always as identity primary key, membership_id bigint not null references membership on delete cascade,
  kind text not null check (kind in ('began', 'prolonged', 'shortened', 'ended', 'refunded')),
  cause text not null check (cause in ('order', 'hand', 'time')), term text, order_id bigint, reason text,
  starts_at timestamptz not null, ends_at timestamptz, at timestamptz not null);
create index membership_change_of on membership_change (membership_id, id);
create unique index membership_change_paid on membership_change (order_id, membership_id) where kind in ('began', 'prolonged');
create unique index membership_change_refunded on membership_change (order_id, membership_id) where kind in ('shortened', 'refunded');
`;

/**
 * Who is a member by what they bought, one row for each person and product, with everything that ever happened to it. An
 * order counts once in each direction, however often a payment or a refund is told.
 */
export class Memberships1765107100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MEMBERSHIPS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
