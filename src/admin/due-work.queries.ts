import type { EntityManager } from 'typeorm';

/**
 * Whether a step due until `stepsUntil` still waits to be planned, or a mail due until `mailsUntil` to be sent; a mail is
 * due from when its step is planned, a moment after the step was. Served by enrollment_due, message_ready and message_lease.
 */
export async function hasDueWork(
  db: EntityManager,
  { stepsUntil, mailsUntil }: { stepsUntil: Date; mailsUntil: Date },
): Promise<boolean> {
  const rows: { due: boolean }[] = await db.query(
    `select exists (select 1 from enrollment where status = 'active' and next_at <= $1)
         or exists (select 1 from message where state = 'ready' and due_at <= $2)
         or exists (select 1 from message where state in ('leased', 'in_data')) as due`,
    [stepsUntil, mailsUntil],
  );
  return rows[0]?.due ?? false;
}
