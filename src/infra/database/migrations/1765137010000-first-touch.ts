import type { MigrationInterface, QueryRunner } from 'typeorm';

const FIRST_TOUCH = `
alter table affiliate_terms add column attribution text not null default 'last' check (attribution in ('last', 'first'));
alter table commission add column attribution text not null default 'last' check (attribution in ('last', 'first'));
alter table signup_referral add column touches jsonb not null default '[]';
create table referral_touch (
  subscriber_id bigint not null references subscriber on delete cascade, touched_at timestamptz not null,
  affiliate_id bigint not null references affiliate, primary key (subscriber_id, touched_at, affiliate_id));
insert into referral_touch (subscriber_id, touched_at, affiliate_id) select subscriber_id, touched_at, affiliate_id from referral;
`;

/** A funnel may pay the first click in place of the last, so those before the last are kept with the person. */
export class FirstTouch1765137010000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FIRST_TOUCH);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
