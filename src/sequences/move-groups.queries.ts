import type { EntityManager } from 'typeorm';
import { isAsking } from './definition.js';
import { movable } from './finished-people.queries.js';
import type { MoveMode } from './placement.js';
import type { PreparedSequence } from './prepared.js';

/** People of whom one and the same becomes by a move; `id` is the enrollment of the first of them. */
export interface MoveGroup {
  id: string;
  people: number;
}

/** What people who are alike may fill; without it a million are sorted on the disk. */
const WORK_MEM = '128MB';

/**
 * The people of earlier versions by what `placeIn` looks at, in the order of their first ones. Forward-only asks for the
 * furthest step alone where nothing is asked on the way, so that there are never more groups than places in the old versions
 * times steps of the new one; else all steps behind somebody count, and catching up asks which of them are `since` then.
 * Times decide when the next step comes, which nobody counts.
 *
 * Called by the preview of a move, within a transaction. Takes no lock. Few people are looked up by message_subscriber
 * and the key of enrollment_step; of many the planner reads both once. People
 * without a step are a part of the union: a join with them ran for minutes while the statistics were behind.
 */
export async function groupsOfMove(
  manager: EntityManager,
  {
    sequenceId,
    versionId,
    to,
    mode,
    without = [],
  }: {
    sequenceId: string;
    versionId: string;
    to: PreparedSequence;
    mode: MoveMode;
    /** Enrollments that stay where they are, whatever is behind them. */
    without?: readonly string[];
  },
): Promise<MoveGroup[]> {
  const ranks = to.definition.nodes.map(({ key }, index) => ({ key, rank: index }));
  await manager.query(`select set_config('work_mem', $1, true), set_config('jit', 'off', true)`, [WORK_MEM]);
  const isStraight = mode.kind === 'forward-only' && !to.definition.nodes.some(isAsking);
  const { ofStep, ofAll } = isStraight ? FURTHEST : SETS[mode.kind];
  return manager.query(
    `with step as (select key, to_char(rank, 'FM00000') || ' ' as place from jsonb_to_recordset($3::jsonb) as s (key text, rank int)),
     person as not materialized (
       select e.id, e.subscriber_id, e.version_id, e.status, e.step_key, e.had, e.ended_at >= $4::timestamptz as is_recent
       from enrollment e where e.sequence_id = $1 and e.version_id <> $2 and ${movable(to)} and e.id <> all ($5::bigint[])),
     done as (
       select p.*, null as outcome, null as done_key, null::timestamptz as at from person p
       union all
       select p.*, 'ran', m.step_key, m.created_at from person p
         join message m on m.subscriber_id = p.subscriber_id and m.enrollment_id = p.id where m.step_key is not null
       union all
       select p.*, o.outcome, o.step_key, o.at from person p join enrollment_step o on o.enrollment_id = p.id),
     behind as (
       select d.id, d.version_id, d.status, d.step_key, d.had, d.is_recent, count(d.done_key) = 0 as is_new,
         ${ofAll(`case when s.key is not null then ${ofStep} end`)} as signature
       from done d left join step s on s.key = d.done_key
       group by d.id, d.version_id, d.status, d.step_key, d.had, d.is_recent)
     select min(id) as id, count(*)::int as people from behind
     group by version_id, status, step_key, had, is_recent, is_new, signature order by 1`,
    [sequenceId, versionId, JSON.stringify(ranks), mode.kind === 'catch-up' ? mode.since : null, without],
  );
}

interface Signature {
  /** Of a step behind somebody that the new version has. */
  ofStep: string;
  /** Of all of these; null when there is none. */
  ofAll: (step: string) => string;
}

/** Of sets of steps, hashes of 64 bits stand for the sets: to put each person's in one order took several times as long. */
const setOf = (step: string): Signature => ({
  ofStep: `hashtextextended(${step}, 0)`,
  ofAll: (hash) => `bit_xor(${hash})`,
});

const FURTHEST: Signature = { ofStep: `s.place || d.outcome`, ofAll: (step) => `max(${step} collate "C")` };
const SETS: Readonly<Record<MoveMode['kind'], Signature>> = {
  'forward-only': setOf('s.place || d.outcome'),
  'catch-up': setOf(`s.place || d.outcome || case when d.at >= $4::timestamptz then ' since' else '' end`),
  're-map': setOf('s.place || d.outcome'),
};
