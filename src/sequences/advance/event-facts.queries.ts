import type { EntityManager } from 'typeorm';
import type { Leaf } from '../steps/condition.js';
import { cameAt, turnAt } from './turn-at.js';

interface Ask {
  row: { id: string; subscriberId: string };
  need: Extract<Leaf, { kind: 'event' }>;
}

/** What ended a wait at the step before happened in the very moment in which this one was come to, and is no news to it. */
const SINCE = `case u.two when 'step' then ${cameAt('n')} else ${turnAt('n')} end`;
/** When it happened counts, not when it was told. Of those of the very moment of joining, not what may have begun it. */
const HEARD_FIRST = `(select min(v.at) from subscriber_event v join enrollment n on n.id = u.enrollment_id
  where v.subscriber_id = u.subscriber_id and v.name = u.one and v.at >= n.started_at and (v.at > n.started_at or not exists (
    select 1 from sequence_version w where w.id = n.version_id
      and w.definition -> 'enterOn' @> jsonb_build_array(jsonb_build_object('kind', 'event', 'event', v.name))))
    and (u.two = '' or ${SINCE} <= n.started_at or v.at > ${SINCE}))`;

/**
 * What events answer, by the place of the question: true, or since a step when the first came, in ms; nothing where none
 * came. Called by `loadAnswers`; by `subscriber_event_subscriber`.
 */
export async function eventAnswers(
  manager: EntityManager,
  asks: readonly Ask[],
): Promise<[number, true | number][]> {
  if (asks.length === 0) return [];
  const rows: { place: number; atMs: number }[] = await manager.query(
    `select * from (
       select u.place::int - 1 as place, extract(epoch from ${HEARD_FIRST})::float8 * 1000 as "atMs"
       from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) with ordinality
         as u (enrollment_id, subscriber_id, one, two, place)) heard where "atMs" is not null`,
    [
      asks.map(({ row }) => row.id),
      asks.map(({ row }) => row.subscriberId),
      asks.map(({ need }) => need.event),
      asks.map(({ need }) => need.since ?? ''),
    ],
  );
  return rows.map(({ place, atMs }) => [place, asks[place]?.need.since === undefined || Math.round(atMs)]);
}
