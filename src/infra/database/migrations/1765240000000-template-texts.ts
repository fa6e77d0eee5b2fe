import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Texts of templates as versions of funnels keep them, each once however many use it. Never changed. */
const texts = `
create table template_text (
  id bigint generated always as identity primary key,
  sha256 bytea not null unique, body text not null, created_at timestamptz not null);
`;

export class TemplateTexts1765240000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(texts);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
