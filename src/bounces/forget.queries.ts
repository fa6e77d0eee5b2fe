import type { EntityManager } from 'typeorm';

/**
 * Called by the erasure of a person, before their mails let go of them. The verdict still counts for the reputation of
 * the sender; the words of a foreign server, which mostly hold the address, go.
 */
export async function forgetSubscriber(db: EntityManager, subscriberId: string): Promise<void> {
  await db.query(
    `update bounce set diagnostic = null, subscriber_id = null
     where subscriber_id = $1 or message_id in (select id from message where subscriber_id = $1)`,
    [subscriberId],
  );
}
