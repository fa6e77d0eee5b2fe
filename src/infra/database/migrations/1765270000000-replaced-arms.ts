import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Somebody's arm was stopped for harm before they came again: what they got then instead, by enrollment. */
export class ReplacedArms1765270000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create table experiment_replacement (
         enrollment_id bigint not null references enrollment (id) on delete cascade,
         experiment_id bigint not null references experiment (id) on delete cascade,
         arm text not null,
         at timestamptz not null,
         primary key (enrollment_id, experiment_id))`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
