import type { EntityManager } from 'typeorm';
import { exitsOf } from '../steps/definition.js';
import { loadAnswers, tagOf } from '../advance/facts.queries.js';
import type { PreparedSequence } from '../steps/prepared.js';

const PAGE = 10_000;

/** Somebody's time in a sequence. */
interface Row {
  id: string;
  subscriberId: string;
}

/**
 * Of whom a move may take along, in SQL: who is in the sequence as `e`, and who has finished it at `$4` or later, null for
 * nobody, and for the last time, as `isLastTime` says.
 */
export function movable(to: PreparedSequence): string {
  return `(e.status = 'active' or (e.status = 'completed' and e.ended_at >= $4::timestamptz and ${isLastTime(to)}))`;
}

/**
 * In SQL. Of somebody who may be in a sequence once at a time and has joined again, the last time counts: no step comes
 * twice, and nobody is in it twice. Served by the unique key of `enrollment`.
 */
export function isLastTime({ definition }: PreparedSequence): string {
  if (definition.reentry?.mode === 'event') return 'true';
  return `not exists (select 1 from enrollment l where l.subscriber_id = e.subscriber_id and l.sequence_id = e.sequence_id
    and l.occurrence > e.occurrence)`;
}

/**
 * Those for whom something holds that ends the sequence: it came after their last mail, or they would have left. A tag or
 * purchase from before they joined never ended it; when a field came to its value is not known. By the keys that
 * `loadAnswers` names.
 */
export async function heldByExits(
  manager: EntityManager,
  rows: readonly Row[],
  { definition }: PreparedSequence,
  now: Date,
): Promise<Set<string>> {
  const exits = exitsOf(definition);
  const tags = exits.flatMap((need) =>
    need.kind === 'tag' || need.kind === 'purchased' ? [tagOf(need)] : [],
  );
  const others = exits.filter(({ kind }) => kind !== 'tag' && kind !== 'purchased');
  const asks = rows.flatMap((row) => others.map((need) => ({ row, need })));
  const answers = await loadAnswers(manager, asks, now);
  const tagged = await taggedSince(manager, rows, tags);
  const isHeld = ({ id }: Row): boolean =>
    tagged.has(id) || [...(answers.get(id)?.values() ?? [])].includes(true);
  return new Set(rows.filter(isHeld).map(({ id }) => id));
}

/** Who has got one of the tags since they joined. By the primary keys of `enrollment` and `subscriber_tag`. */
async function taggedSince(
  manager: EntityManager,
  rows: readonly Row[],
  tags: readonly string[],
): Promise<Set<string>> {
  if (rows.length === 0 || tags.length === 0) return new Set();
  const tagged: { id: string }[] = await manager.query(
    `select n.id from enrollment n where n.id = any($1::bigint[]) and exists (
       select 1 from subscriber_tag h join tag t on t.id = h.tag_id
       where h.subscriber_id = n.subscriber_id and h.created_at > n.started_at and t.name = any($2::text[]))`,
    [rows.map(({ id }) => id), tags],
  );
  return new Set(tagged.map(({ id }) => id));
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
