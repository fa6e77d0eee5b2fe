import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Mails of broadcasts at an hour that were planned before such mails had hours of their own. */
const PLANNED = `message m join broadcast b on b.id = m.broadcast_id and b.state in ('planning', 'running', 'paused')
  and jsonb_typeof(b.timing -> 'local') = 'object'
  left join subscriber s on s.id = m.subscriber_id
  where m.state in ('ready', 'held') and m.send_hours_id is null`;

/**
 * What those keep that are planned now: the hours from 08:00 to 22:00, with \`nextDay\` not before that of the broadcast, and two hours
 * behind that, with its spread, whatever hour it is; and so of each arm.
 */
const HOURS = `
with timed as (
  select id, timing #>> '{local,timezone}' as zone, timing #>> '{local,fallbackZone}' as fallback, split,
    right(timing #>> '{local,atLocal}', 5)::time as at, coalesce((timing ->> 'spreadMinutes')::int, 0) + 120 as lasts,
    timing #>> '{local,ifPassed}' = 'nextDay' and coalesce(jsonb_path_exists(split, '$.arms[*].at'), false) = false as waits
  from broadcast where state in ('planning', 'running', 'paused') and jsonb_typeof(timing -> 'local') = 'object'),
begin as (
  select id, extract(epoch from at)::int / 60 as minute from timed
  union
  select id, extract(epoch from coalesce((arm ->> 'at')::time, at))::int / 60 + coalesce((arm ->> 'delayMinutes')::int, 0)
  from timed cross join jsonb_array_elements(split -> 'arms') as arm where split is not null),
open as (
  select t.id, w.minute from timed t cross join generate_series(0, 10079) as w (minute)
  where w.minute % 1440 < 1320 and w.minute % 1440 >= greatest(480, case when t.waits then extract(epoch from t.at) / 60 end)
    or exists (select from begin where begin.id = t.id and (w.minute - begin.minute % 1440 + 1440) % 1440 < t.lasts)),
span as (
  select id, min(minute) as first, max(minute) as last
  from (select id, minute, minute - row_number() over (partition by id order by minute) as run from open) runs group by id, run),
kept as (
  select t.id, t.zone, t.fallback, jsonb_agg(jsonb_build_object('start', first, 'end', last + 1) order by first) as spans
  from timed t join span using (id) group by t.id, t.zone, t.fallback),
mail as materialized (
  select m.id, k.spans, coalesce(k.zone, z.canonical, k.fallback, 'UTC') as zone
  from kept k join message m on m.broadcast_id = k.id left join subscriber s on s.id = m.subscriber_id
    left join unnest($1::text[], $2::text[]) as z (name, canonical) on z.name = s.time_zone
  where m.state in ('ready', 'held') and m.send_hours_id is null),
numbered as (
  insert into send_hours (spans, time_zone) select distinct spans, zone from mail
  on conflict (spans, time_zone) do update set time_zone = excluded.time_zone returning id, spans, time_zone)
update message m set send_hours_id = n.id
from mail join numbered n on n.spans = mail.spans and n.time_zone = mail.zone
where m.id = mail.id and m.state in ('ready', 'held')`;

/** So that what is on its way during the upgrade does not come at night either. */
export class HoursOfPlanned1766200100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    const zones = (await runner.query(
      `select distinct s.time_zone as name from ${PLANNED} and s.time_zone is not null`,
    )) as { name: string }[];
    // A zone that nobody knows would stop all mails that are claimed with one of its.
    const known = zones.flatMap(({ name }) => canonical(name).map((one) => ({ name, canonical: one })));
    await runner.query(HOURS, [known.map(({ name }) => name), known.map((zone) => zone.canonical)]);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}

/** As Intl spells it; [] where it does not know it, which it has no other way to say. */
function canonical(name: string): string[] {
  try {
    return [new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone];
  } catch {
    return [];
  }
}
