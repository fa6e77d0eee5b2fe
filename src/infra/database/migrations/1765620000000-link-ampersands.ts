import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Links of mails that were published before an ampersand that is written as a number was read as one: a click went to
 * `?a=1` with the rest behind a `#`. Their hashes stay, which only find a link again when it is published anew. Reads the
 * table once, which has a row for each link that ever stood in a mail.
 */
export class LinkAmpersands1765620000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `update link set url_template = regexp_replace(url_template, '&#(0*38|x0*26);', '&', 'gi')
       where url_template ~* '&#(0*38|x0*26);'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
