import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Segments ask who did something: of everybody's events those of a name, by when, without reading the rows. */
const index = `create index subscriber_event_name on subscriber_event (name, at) include (subscriber_id)`;

export class EventNames1765392000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(index);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
