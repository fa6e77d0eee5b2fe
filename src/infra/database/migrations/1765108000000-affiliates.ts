import type { MigrationInterface, QueryRunner } from 'typeorm';

const ID = 'id bigint generated always as identity primary key';

const PARTNERS = `
create table affiliate (
  ${ID}, code text not null unique, name text, email text, email_key text unique, mailbox text unique,
  recruiter_id bigint references affiliate, state text not null check (state in ('active', 'paused')),
  created_at timestamptz not null, updated_at timestamptz not null, erased boolean not null default false,
  check (recruiter_id <> id), check (erased or (name is not null and email is not null)));
create index affiliate_recruiter on affiliate (recruiter_id) where recruiter_id is not null;
create table affiliate_click (
  affiliate_id bigint not null references affiliate, day date not null, clicks int not null,
  primary key (affiliate_id, day));
create table affiliate_terms (
  funnel_key text primary key, commission_bps int not null check (commission_bps between 0 and 10000),
  second_tier_bps int not null check (second_tier_bps between 0 and 10000), hold text not null, cookie text not null,
  updated_at timestamptz not null, check (commission_bps + second_tier_bps <= 10000));
`;

const REFERRALS = `
create table referral (
  subscriber_id bigint primary key references subscriber on delete cascade,
  affiliate_id bigint not null references affiliate, touched_at timestamptz not null,
  source text not null check (source in ('form', 'checkout')), recorded_at timestamptz not null);
create index referral_affiliate on referral (affiliate_id);
create table signup_referral (
  signup_id bigint primary key references signup on delete cascade,
  affiliate_id bigint not null references affiliate, touched_at timestamptz not null);
create table order_referral (
  order_id bigint primary key references orders on delete cascade,
  affiliate_id bigint not null references affiliate, touched_at timestamptz not null);
`;

const MONEY = `
create table payout (
  ${ID}, affiliate_id bigint not null references affiliate, amount_minor bigint not null check (amount_minor > 0),
  currency text not null, state text not null check (state in ('open', 'paid')),
  created_at timestamptz not null, paid_at timestamptz, check ((state = 'paid') = (paid_at is not null)));
create index payout_affiliate on payout (affiliate_id);
create table commission (
  ${ID}, affiliate_id bigint not null references affiliate, order_id bigint not null references orders,
  order_line_id bigint not null references order_line, tier smallint not null check (tier in (1, 2)),
  base_minor bigint not null check (base_minor >= 0), rate_bps int not null,
  amount_minor bigint not null check (amount_minor between 0 and base_minor), currency text not null,
  refusal text, via text not null check (via in ('checkout', 'subscriber')), touched_at timestamptz not null,
  due_at timestamptz not null, payout_id bigint references payout, created_at timestamptz not null,
  unique (order_line_id, tier), check (refusal is null or amount_minor = 0));
create index commission_order on commission (order_id);
create index commission_affiliate on commission (affiliate_id, id);
create index commission_unpaid on commission (affiliate_id, currency, due_at) where payout_id is null and amount_minor > 0;
create table clawback (
  ${ID}, commission_id bigint not null references commission, affiliate_id bigint not null references affiliate,
  amount_minor bigint not null check (amount_minor > 0), currency text not null, due_at timestamptz not null,
  payout_id bigint references payout, created_at timestamptz not null);
create index clawback_commission on clawback (commission_id);
create index clawback_unpaid on clawback (affiliate_id, currency, due_at) where payout_id is null;
`;

/**
 * Partners who send buyers. `commission` and `clawback` are a ledger: rows are added, and get the payout that settled
 * them, and are never changed otherwise. What an affiliate is owed is the sum of their rows without a payout, so that a
 * refund after a payout is a negative balance that the next payout takes off.
 */
export class Affiliates1765108000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [PARTNERS, REFERRALS, MONEY]) await runner.query(part);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
