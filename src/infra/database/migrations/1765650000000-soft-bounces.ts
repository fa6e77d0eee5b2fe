import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mails that did not arrive several times, though no server called the address dead, end marketing alone. What was given up
 * so before is found by the reason it was given up for: at once, nobody is for one of these. The reason is the first there was:
 * an erasure, a complaint or a dead address that came later left it as it stood, and stays. Somebody who is still there as
 * bounced was not erased and has not complained; whatever else is not sure stays as it is. Each entry is one look by
 * `bounce_address`, and few have such a reason.
 *
 * Who has left while their mails did not arrive may come back by confirming from now on, and so not by an older link: their
 * leaving is written down as that of others is.
 */
export class SoftBounces1765650000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table suppression drop constraint suppression_reason_check,
      add constraint suppression_reason_check
        check (reason in ('unsubscribed', 'hard_bounce', 'soft_bounce', 'complaint', 'erased', 'manual'))`);
    await runner.query(`with soft as (
        delete from suppression u where u.scope = 'all' and u.reason = 'hard_bounce' and u.source in (
          'bounce: mailbox_full', 'bounce: mailbox_busy', 'bounce: suspended', 'bounce: filtered', 'bounce: expired',
          'bounce: network_error', 'bounce: system_error', 'bounce: mailer_error', 'bounce: greylisted',
          'bounce: too_large', 'bounce: unclear')
          and (select exists (select 1 from bounce b join subscriber s on s.id = b.subscriber_id
            where b.address_hash = u.email_hash and b.trusted and s.status = 'bounced'))
          and not (select exists (select 1 from bounce b
            where b.address_hash = u.email_hash and b.trusted and b.verdict in ('hard', 'complaint')))
        returning email_hash, source, created_at)
      insert into suppression (email_hash, scope, reason, source, created_at)
      select email_hash, 'marketing', 'soft_bounce', source, created_at from soft
      on conflict (email_hash, scope) do nothing`);
    await runner.query(`insert into consent_event (subscriber_id, kind, purpose, at)
      select s.id, 'withdrawn', 'marketing', max(u.created_at)
      from subscriber s join bounce b on b.subscriber_id = s.id and b.trusted
        join suppression u on u.email_hash = b.address_hash and u.scope = 'marketing' and u.reason = 'unsubscribed'
      where s.status = 'bounced' and (select e.kind from consent_event e
        where e.subscriber_id = s.id and e.purpose = 'marketing' order by e.id desc limit 1) <> 'withdrawn'
      group by s.id`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
