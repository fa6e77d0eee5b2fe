import type { EntityManager } from 'typeorm';

/**
 * Called by the erasure of a person: what their fields held, in signals that no sequence has been told yet. One that is
 * being told right now goes by that; waiting for it could be a deadlock, as its worker may wait for the person.
 */
export async function forgetSignals(manager: EntityManager, subscriberId: string): Promise<void> {
  await manager.query(
    `delete from sequence_signal where id in (
       select id from sequence_signal where subscriber_id = $1 for update skip locked)`,
    [subscriberId],
  );
}
