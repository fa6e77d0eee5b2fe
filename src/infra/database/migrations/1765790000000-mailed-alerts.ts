import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When the owner was told of an alert by mail. Of those that are open at the upgrade the mails would be old news. */
export class MailedAlerts1765790000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table alert add column mailed_at timestamptz');
    await runner.query(`update alert set mailed_at = raised_at where resolved_at is null`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
