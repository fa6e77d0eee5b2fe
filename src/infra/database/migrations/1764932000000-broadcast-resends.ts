import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A broadcast may be sent once more, to those who did not open or click. */
export class BroadcastResends1764932000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column resend_of bigint references broadcast');
    // One that was cancelled half-way may be followed by another, which passes by those it has reached.
    await runner.query(
      `create unique index broadcast_resend on broadcast (resend_of) where resend_of is not null and state <> 'cancelled'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
