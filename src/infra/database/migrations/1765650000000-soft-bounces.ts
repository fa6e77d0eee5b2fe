import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mails that did not arrive several times, though no server called the address dead, end marketing alone. What was given up
 * so before is found by the reason it was given up for: at once, nobody is for one of these.
 */
export class SoftBounces1765650000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table suppression drop constraint suppression_reason_check,
      add constraint suppression_reason_check
        check (reason in ('unsubscribed', 'hard_bounce', 'soft_bounce', 'complaint', 'erased', 'manual'))`);
    await runner.query(`with soft as (
        delete from suppression where scope = 'all' and reason = 'hard_bounce' and source in (
          'bounce: mailbox_full', 'bounce: mailbox_busy', 'bounce: suspended', 'bounce: filtered', 'bounce: expired',
          'bounce: network_error', 'bounce: system_error', 'bounce: mailer_error', 'bounce: greylisted',
          'bounce: too_large', 'bounce: unclear')
        returning email_hash, source, created_at)
      insert into suppression (email_hash, scope, reason, source, created_at)
      select email_hash, 'marketing', 'soft_bounce', source, created_at from soft
      on conflict (email_hash, scope) do nothing`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
