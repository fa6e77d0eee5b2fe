import type { EntityManager } from 'typeorm';

/** When a broadcast begins, or its split test is judged. */
const NEXT_OF_BROADCAST = `case when b.state = 'scheduled' then b.scheduled_at
  when b.state = 'running' and b.decision is null then b.decide_at end`;

/** When the next broadcast begins or is judged; null when none waits. */
export async function nextBroadcastAt(db: EntityManager): Promise<Date | null> {
  const rows: { at: Date | null }[] = await db.query(
    `select min(${NEXT_OF_BROADCAST}) as at from broadcast b where b.state in ('scheduled', 'running')`,
  );
  return rows[0]?.at ?? null;
}

/**
 * Whether a step or a broadcast due until `stepsUntil` still waits to be planned, or a mail due until `mailsUntil` to be
 * sent; a mail is due from when its step is planned, a moment after the step was. Served by enrollment_due, broadcast_open,
 * message_ready and message_lease.
 */
export async function hasDueWork(
  db: EntityManager,
  { stepsUntil, mailsUntil }: { stepsUntil: Date; mailsUntil: Date },
): Promise<boolean> {
  const rows: { due: boolean }[] = await db.query(
    `select exists (select 1 from enrollment where status = 'active' and next_at <= $1)
         or exists (select 1 from broadcast b where ${NEXT_OF_BROADCAST} <= $1)
         or exists (select 1 from message where state = 'ready' and due_at <= $2)
         or exists (select 1 from message where state = 'leased') as due`,
    [stepsUntil, mailsUntil],
  );
  return rows[0]?.due ?? false;
}
