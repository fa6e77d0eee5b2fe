import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Of people who had taken back their consent to be counted before this release, what was seen of them until then goes as
 * well. A sign-up of theirs keeps the mark of its browser only while it waits. Few people take it back, and their mails and hits are
 * found by index: one who never agreed has no hits.
 */
export class Uncounted1765550000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`create temporary table uncounted on commit drop as
      select c.subscriber_id as id from consent_event c join subscriber s on s.id = c.subscriber_id
      where c.purpose = 'tracking' and c.kind = 'withdrawn' and not s.tracking_consent group by 1`);
    await runner.query(`create temporary table uncounted_mail on commit drop as
      select m.id from uncounted u join message m on m.subscriber_id = u.id`);
    await runner.query('analyze uncounted, uncounted_mail');
    await runner.query('delete from tracking_event e using uncounted_mail m where e.message_id = m.id');
    await runner.query(
      'update visit v set subscriber_id = null, message_id = null from uncounted u where v.subscriber_id = u.id',
    );
    await runner.query(
      'update conversion c set visitor_id = null from uncounted u where c.subscriber_id = u.id and c.visitor_id is not null',
    );
    await runner.query(
      'update conversion c set visitor_id = null from uncounted_mail m where c.message_id = m.id and c.visitor_id is not null',
    );
    await runner.query(
      "update orders o set visitor_id = null from uncounted u where o.subscriber_id = u.id and o.visitor_id is not null and o.status <> 'pending'",
    );
    await runner.query(
      `update signup s set visitor_id = null from uncounted u
       where s.subscriber_id = u.id and s.status = 'confirmed' and s.visitor_id is not null`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
