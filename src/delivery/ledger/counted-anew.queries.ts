import type { EntityManager } from 'typeorm';
import { RESTORED_UNTIL } from '../generation/generation.queries.js';
import { LATER_WENT } from './later-mails.queries.js';

/** SQL for the `wait_until` of who counts as coming to their step in their next turn, whenever they came. */
export const ANEW = `'-infinity'::timestamptz`;

/**
 * SQL for whether a step, whose node is JSON, would never come if its delay counted from `from`, as it expires before (in any zone).
 * Sooner rather than never: it keeps its time.
 */
const expiresBefore = (node: string, from: string): string => `${node} ? 'expires'
  and ${from} + coalesce(((${node} #>> '{delay,value}') || ' ' || (${node} #>> '{delay,unit}'))::interval, interval '0')
    >= left(${node} ->> 'expires', 10)::date::timestamp at time zone 'utc' - interval '14 hours'`;

/**
 * The steps behind these held mails, which go now, count from `now`, by their delays and hours: a mail that a pause has held and the step
 * behind it would go in one minute. Nobody waits anew behind one that a later step has overtaken. Who was led to their step otherwise knows when they came (`came_at`), and
 * waits as before; so does who was due before the owner's word about a restored backup, whose mail may have gone. Done twice it
 * counts once more. By the primary keys; locks the enrollments in their order, before the mails are locked.
 */
export async function countAnew(
  manager: EntityManager,
  messageIds: readonly string[],
  now: Date,
): Promise<void> {
  if (messageIds.length === 0) return;
  await manager.query(
    `with behind as materialized (
       select distinct m.enrollment_id as id from message m where m.id = any($1::bigint[]) and m.enrollment_id is not null and not ${LATER_WENT}),
     versions as materialized (select distinct n.version_id as id from enrollment n join behind using (id)),
     never as materialized (
       select v.id, s.node ->> 'key' as step_key from versions join sequence_version v using (id)
         cross join lateral jsonb_array_elements(v.definition -> 'nodes') as s (node) where ${expiresBefore('s.node', '$2::timestamptz')})
     update enrollment e set next_at = $2, planned_for = null, wait_until = ${ANEW}
     from (select n.id from enrollment n
       where n.id in (select id from behind) and n.status = 'active' and n.came_at is null
         and (coalesce(n.next_at, n.planned_for) < ${RESTORED_UNTIL}) is not true
         and not exists (select 1 from never where never.id = n.version_id and never.step_key = n.step_key)
       order by n.id for update of n) w
     where e.id = w.id`,
    [messageIds, now],
  );
}
