import type { EntityManager } from 'typeorm';

/** Whether anything that is due at `now` still waits to be planned or sent. Served by enrollment_due, message_ready and message_lease. */
export async function hasDueWork(db: EntityManager, now: Date): Promise<boolean> {
  const rows: { due: boolean }[] = await db.query(
    `select exists (select 1 from enrollment where status = 'active' and next_at <= $1)
         or exists (select 1 from message where state = 'ready' and due_at <= $1)
         or exists (select 1 from message where state in ('leased', 'in_data')) as due`,
    [now],
  );
  return rows[0]?.due ?? false;
}
