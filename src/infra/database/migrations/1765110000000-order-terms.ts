import type { MigrationInterface, QueryRunner } from 'typeorm';

const ORDER_TERMS = `
alter table order_referral add column via text not null default 'checkout' check (via in ('checkout', 'subscriber'));
alter table order_line add column membership text;
alter table licence add column revoked_at timestamptz;
update order_line l set membership = p.membership from product p where p.id = l.product_id and p.membership is not null;
update licence k set revoked_at = o.refunded_at from order_line l join orders o on o.id = l.order_id
 where l.id = k.order_line_id and o.status = 'refunded';
`;

/**
 * What an order was placed for stays with it: by whose link the buyer came, and how long each product makes them a member
 * (null: it does not), whatever the product says when it is paid. A licence says since when it holds no more.
 */
export class OrderTerms1765110000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ORDER_TERMS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
