import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When an event happened was taken as it was told once, and nothing asked for it; since then what is told as to come, or as
 * a few minutes ago, is now (`EventsService`). So are those of before, where it matters: one that is still to come would
 * count for every sequence that its person begins until then, and one that crosses the beginning of a sequence would count,
 * or not, by a clock a little off. All others stay, as to write a table of millions anew would hold up the start. One pass,
 * with a look by the key of `enrollment` for each event whose clock was off.
 */
const TIMES = `
update subscriber_event v set at = v.created_at
where v.at <> v.created_at and v.at > v.created_at - interval '5 minutes' and (v.at > now() or (select exists (
  select 1 from enrollment n where n.subscriber_id = v.subscriber_id
    and n.started_at between least(v.at, v.created_at) and greatest(v.at, v.created_at))))`;

export class TimesOfEvents1765300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TIMES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
