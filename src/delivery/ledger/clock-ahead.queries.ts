import type { EntityManager } from 'typeorm';
import { FREQUENCY_CAP, OUTSIDE_HOURS } from '../message/state-reasons.js';

/**
 * Called by the reaper once the database's clock has been put back. Mails that were to go at once, were put off after a try,
 * or wait for their hours or a frequency cap, all by the clock that was ahead, are due now: nobody would look at them until
 * that time, at a confirmation for as long as the clock was ahead. Their claim asks for hours and cap anew. What has a time of its own,
 * as a broadcast at an hour, keeps it. Walks all that is ready once, which is rare enough; waits for nobody's lock. The look for
 * them knows nothing of the row to be changed: PostgreSQL 15 and 16 would take it anew for each row of the ledger.
 *
 * The time is the earlier of both clocks: the application may not have followed the database's yet.
 */
export async function dueNowAfterClockAhead(manager: EntityManager, now: Date): Promise<void> {
  await manager.query(
    `with present as (select least($1::timestamptz, clock_timestamp()) as at, interval '1 minute' as most),
     ahead as materialized (
       select m.id, present.at from message m cross join present
       where m.state = 'ready' and m.due_at > present.at + present.most and (
         (m.created_at > present.at + present.most and m.due_at <= m.created_at + present.most)
         or m.state_reason = $2 or starts_with(m.state_reason, $3)
         or (m.attempt > 0 and exists (select 1 from message_attempt a where a.message_id = m.id
           and a.finished_at > clock_timestamp() + present.most)))
       for update of m skip locked)
     update message set due_at = ahead.at from ahead where message.id = ahead.id`,
    [now, OUTSIDE_HOURS, FREQUENCY_CAP],
  );
}
