import type { MigrationInterface, QueryRunner } from 'typeorm';

/** People who by an imported table want no mails about a topic any more, until their running series of it has ended. */
export class TopicToLeave1765802000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create table topic_to_leave (subscriber_id bigint references subscriber on delete cascade, topic_key text,
         primary key (subscriber_id, topic_key))`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
