import type { EntityManager } from 'typeorm';
import { exitsOf } from './definition.js';
import { loadAnswers } from './facts.queries.js';
import type { PreparedSequence } from './prepared.js';

const PAGE = 10_000;

/** Somebody's time in a sequence. */
interface Row {
  id: string;
  subscriberId: string;
}

/**
 * Of whom a move may take along, in SQL: who is in the sequence as `e`, and who has finished it at `$4` or later, null for
 * nobody. Of somebody who may be in it once at a time and has joined again, the last time counts: no step comes twice, and
 * nobody is in it twice. Served by the unique key of `enrollment`.
 */
export function movable({ definition }: PreparedSequence): string {
  const isLast =
    definition.reentry?.mode === 'event'
      ? 'true'
      : `not exists (select 1 from enrollment l where l.subscriber_id = e.subscriber_id and l.sequence_id = e.sequence_id
           and l.occurrence > e.occurrence)`;
  return `(e.status = 'active' or (e.status = 'completed' and e.ended_at >= $4::timestamptz and ${isLast}))`;
}

/**
 * Those for whom something holds that ends the sequence: it came after their last mail, or they would have left. By the
 * keys that `loadAnswers` names.
 */
export async function heldByExits(
  manager: EntityManager,
  rows: readonly Row[],
  { definition }: PreparedSequence,
  now: Date,
): Promise<Set<string>> {
  const exits = exitsOf(definition);
  const asks = rows.flatMap((row) => exits.map((need) => ({ row, need })));
  const answers = await loadAnswers(manager, asks, now);
  const isHeld = ({ id }: Row): boolean => [...(answers.get(id)?.values() ?? [])].includes(true);
  return new Set(rows.filter(isHeld).map(({ id }) => id));
}

/** As `heldByExits`, of all who have finished since and stand in another version than the one to go to. */
export async function finishedAndHeld(
  manager: EntityManager,
  {
    sequenceId,
    versionId,
    to,
    since,
  }: { sequenceId: string; versionId: string; to: PreparedSequence; since: Date },
  now: Date,
): Promise<string[]> {
  if (exitsOf(to.definition).length === 0) return [];
  const held: string[] = [];
  for (let after: string | undefined = '0'; after !== undefined;) {
    const rows: Row[] = await manager.query(
      `select e.id, e.subscriber_id as "subscriberId" from enrollment e
       where e.sequence_id = $1 and e.version_id <> $2 and e.id > $3 and e.status = 'completed' and ${movable(to)}
       order by e.id limit ${PAGE}`,
      [sequenceId, versionId, after, since],
    );
    held.push(...(await heldByExits(manager, rows, to, now)));
    after = rows.at(-1)?.id;
  }
  return held;
}
