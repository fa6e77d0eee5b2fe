import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Nothing deletes a message, so there is nothing to keep from being orphaned; but for each attempt its message was
 * looked up and locked once more, in the very statement that had just written it.
 */
const ATTEMPTS_WITHOUT_CHECK = 'alter table message_attempt drop constraint message_attempt_message_id_fkey;';

export class AttemptsWithoutCheck1765100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ATTEMPTS_WITHOUT_CHECK);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
