import type { MigrationInterface, QueryRunner } from 'typeorm';

const PARTIAL_REFUNDS = `
alter table orders add column refunded_minor bigint not null default 0;
update orders set refunded_minor = amount_minor where status = 'refunded';
alter table orders add constraint orders_refunded_check check (refunded_minor between 0 and amount_minor);
alter table order_line add column taken_back_at timestamptz;
create table refund (
  id bigint generated always as identity primary key, order_id bigint not null references orders on delete cascade,
  key text, amount_minor bigint not null check (amount_minor >= 0), currency text not null, reason text, at timestamptz not null,
  unique (order_id, key));
create index refund_order on refund (order_id, id);
create table refund_line (
  refund_id bigint not null references refund on delete cascade, order_line_id bigint not null references order_line on delete cascade,
  amount_minor bigint not null check (amount_minor > 0), primary key (refund_id, order_line_id));
create index refund_line_of on refund_line (order_line_id);
update order_line l set taken_back_at = o.refunded_at from orders o where o.id = l.order_id and o.status = 'refunded';
insert into refund (order_id, amount_minor, currency, reason, at)
  select id, amount_minor, currency, refund_reason, refunded_at from orders where status = 'refunded' order by refunded_at, id;
insert into refund_line (refund_id, order_line_id, amount_minor)
  select r.id, l.id, l.amount_minor from refund r join order_line l on l.order_id = r.order_id where l.amount_minor > 0;
`;

/**
 * Money of an order goes back in parts: each refund with its share of every line, and how much it is in all with the order.
 * `key` names a refund for whoever repeats it. A line is taken back when the product itself is, not only some money for it.
 */
export class PartialRefunds1765137000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PARTIAL_REFUNDS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
