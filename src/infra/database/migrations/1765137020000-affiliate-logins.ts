import type { MigrationInterface, QueryRunner } from 'typeorm';

const AFFILIATE_LOGINS = `
create table affiliate_login (
  id bigint generated always as identity primary key, affiliate_id bigint not null references affiliate on delete cascade,
  message_id bigint, created_at timestamptz not null, expires_at timestamptz not null,
  used_at timestamptz, session_hash bytea unique, session_ends_at timestamptz,
  check ((used_at is null) = (session_hash is null) and (session_hash is null) = (session_ends_at is null)));
create index affiliate_login_affiliate on affiliate_login (affiliate_id);
create index clawback_affiliate on clawback (affiliate_id);
`;

/** How affiliates come to their page: a mailed link that works once, and the session it opens, kept as its hash. */
export class AffiliateLogins1765137020000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(AFFILIATE_LOGINS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
