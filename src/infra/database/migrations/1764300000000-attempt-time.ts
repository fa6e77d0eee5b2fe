import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How fast the relays take mails is read from the attempts of the last minute. BRIN costs the hot path next to nothing. */
export class AttemptTime1764300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_attempt_finished on message_attempt using brin (finished_at) with (pages_per_range = 32)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
