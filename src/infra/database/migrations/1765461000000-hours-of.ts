import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The step whose hours somebody's mails keep who goes on in a turn of its own, as behind a step that changed a tag. */
const HOURS_OF = `alter table enrollment add column hours_of text`;

export class HoursOf1765461000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(HOURS_OF);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
