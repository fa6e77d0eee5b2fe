import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the handling of bounces looks up: the mail behind a returned Message-ID (hash: 4 bytes a row, written once, when
 * the mail was taken), refusals by the relay that nobody has counted yet, and the reports of one broadcast.
 */
const statements = [
  `create index message_header_id on message using hash (message_id_header) where state in ('accepted', 'unknown')`,
  `create index message_refused on message (settled_at) where state = 'rejected' and reply_code is not null`,
  `alter table bounce add broadcast_id bigint references broadcast on delete set null, add provider_group text`,
  `create index bounce_broadcast on bounce (broadcast_id, verdict) where broadcast_id is not null`,
  `create index bounce_complaint on bounce (received_at) where verdict = 'complaint'`,
];

export class Bounces1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
