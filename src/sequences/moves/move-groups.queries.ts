import type { EntityManager } from 'typeorm';
import { isAsking } from '../steps/definition.js';
import { movable } from './finished-people.queries.js';
import type { MoveMode } from './placement.js';
import type { PreparedSequence } from '../steps/prepared.js';

/** People of whom one and the same becomes by a move; `id` is the enrollment of the first of them. */
interface MoveGroup {
  id: string;
  people: number;
}

/**
 * `work_mem`: what people who are alike may fill; without it a million are sorted on the disk. Several processes read the
 * tables, which they would not at the price that PostgreSQL sets on a row from another process; they share no hash table,
 * as a container may have too little shared memory for it.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  work_mem: '128MB',
  jit: 'off',
  parallel_tuple_cost: '0.001',
  enable_parallel_hash: 'off',
};

/**
 * The people of earlier versions by what `placeIn` looks at, in the order of their first ones. Forward-only asks for the
 * furthest step alone where nothing is asked on the way, so that there are never more groups than places in the old versions
 * times steps of the new one; else all steps behind somebody count, and catching up asks which of them are `since` then.
 * Times decide when the next step comes, which nobody counts. Hashes of 64 bits stand for what is compared, so that less is
 * carried along.
 *
 * Called by the preview of a move, within a transaction. Takes no lock. Reads each enrollment once. Few people are looked
 * up by message_subscriber and the key of enrollment_step; of many the planner reads both once. People without a step are
 * a part of the union: a join with them ran for minutes while the statistics were behind. Looking up the steps of each
 * person took twice as long.
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
  await manager.query(
    'select set_config(name, value, true) from jsonb_each_text($1::jsonb) as s (name, value)',
    [JSON.stringify(SETTINGS)],
  );
  const isStraight = mode.kind === 'forward-only' && !to.definition.nodes.some(isAsking);
  const { ofStep, ofAll } = isStraight ? FURTHEST : SETS[mode.kind];
  return manager.query(
    `with step as (select key, rank from jsonb_to_recordset($3::jsonb) as s (key text, rank int)),
     person as materialized (
       select e.id, e.subscriber_id, hash_record_extended(
         (e.version_id, e.status, e.step_key, e.had, e.ended_at >= $4::timestamptz), 0) as standing
       from enrollment e where e.sequence_id = $1 and e.version_id <> $2 and ${movable(to)} and e.id <> all ($5::bigint[])),
     done as (
       select p.id, p.standing, false as is_step, null::bigint as signature from person p
       union all
       select p.id, p.standing, true, ${ofStep(`'ran'`, 'm.created_at')} from person p
         join message m on m.subscriber_id = p.subscriber_id and m.enrollment_id = p.id
         left join step s on s.key = m.step_key where m.step_key is not null
       union all
       select p.id, p.standing, true, ${ofStep('o.outcome', 'o.at')} from person p
         join enrollment_step o on o.enrollment_id = p.id left join step s on s.key = o.step_key),
     behind as (
       select id, standing, bool_or(is_step) as has_steps, ${ofAll}(signature) as signature from done group by id, standing)
     select min(id) as id, count(*)::int as people from behind
     group by standing, has_steps, signature order by 1`,
    [sequenceId, versionId, JSON.stringify(ranks), mode.kind === 'catch-up' ? mode.since : null, without],
  );
}

interface Signature {
  /** Of a step behind somebody and what came of it when; null where the new version does not have the step. */
  ofStep: (outcome: string, at: string) => string;
  /** The aggregate that makes one of all of these; null when there is none. */
  ofAll: 'max' | 'bit_xor';
}

const FURTHEST: Signature = {
  ofStep: (outcome) => `(s.rank::bigint << 32) + hashtext(${outcome})`,
  ofAll: 'max',
};

const SET: Signature = { ofStep: (outcome) => `hashtextextended(${outcome}, s.rank)`, ofAll: 'bit_xor' };

const SETS: Readonly<Record<MoveMode['kind'], Signature>> = {
  'forward-only': SET,
  'catch-up': {
    ofStep: (outcome, at) => `hashtextextended(${outcome}, s.rank * 2 + (${at} >= $4::timestamptz)::int)`,
    ofAll: 'bit_xor',
  },
  're-map': SET,
};
