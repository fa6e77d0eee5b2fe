import type { MigrationInterface, QueryRunner } from 'typeorm';

const PAYOUTS_UNDONE = `
alter table payout add column cancelled_at timestamptz,
  drop constraint payout_state_check,
  add constraint payout_state_check check (state in ('open', 'paid', 'cancelled')),
  add constraint payout_cancelled_check check ((state = 'cancelled') = (cancelled_at is not null));
create index commission_payout on commission (payout_id) where payout_id is not null;
create index clawback_payout on clawback (payout_id) where payout_id is not null;
create index referral_form on referral (affiliate_id) where source = 'form';
create index membership_newest on membership (product_id, id);
`;

/** A payout that nobody has paid yet may be taken back; what is in one, and what is counted for pages, is found by an index. */
export class PayoutsUndone1765110020000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PAYOUTS_UNDONE);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
