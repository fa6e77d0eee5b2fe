import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What somebody has answered on a form, until they confirm: until then it may be a stranger who typed their address. */
const FORM_ANSWERS = `
alter table signup add column answers jsonb;
`;

export class FormAnswers1765420000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FORM_ANSWERS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
