import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * An assignment goes with its enrollment, which a batch has locked already: a foreign key to the person would wait for
 * an erasure that waits for the batch.
 */
const experiments = `
create table experiment (
  id bigint generated always as identity primary key, key text not null unique, test text not null, funnel_key text not null,
  step_key text not null, terms jsonb not null, started_at timestamptz not null, verdict jsonb, decided_at timestamptz,
  check ((verdict is null) = (decided_at is null)));
create index experiment_running on experiment (id) where decided_at is null;
create table experiment_period (
  experiment_id bigint not null references experiment on delete cascade, period int not null, shares jsonb not null,
  since timestamptz not null, primary key (experiment_id, period));
create table experiment_assignment (
  experiment_id bigint not null references experiment on delete cascade, subscriber_id bigint not null, arm text not null,
  period int not null, enrollment_id bigint not null references enrollment on delete cascade,
  carried boolean not null, assigned_at timestamptz not null, primary key (experiment_id, subscriber_id));
create index experiment_assignment_subscriber on experiment_assignment (subscriber_id, experiment_id);
create index experiment_assignment_enrollment on experiment_assignment (enrollment_id);
`;

/** Split tests: what is tested, by which shares people are drawn, who got which arm, and what came of it. */
export class Experiments1764910000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(experiments);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
