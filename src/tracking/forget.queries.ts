import type { EntityManager } from 'typeorm';

/**
 * Called by the erasure of a person, before their mails let go of them. Counts stay, what points at somebody goes. The
 * visitor's mark stays: it is a keyed hash of one day, and nothing that names anybody hangs on it any more.
 */
export async function forgetSubscriber(db: EntityManager, subscriberId: string): Promise<void> {
  await db.query(
    `update tracking_event set user_agent = null, ip_hash = null, subscriber_id = null
     where message_id in (select id from message where subscriber_id = $1)`,
    [subscriberId],
  );
  await db.query(
    'update visit set subscriber_id = null, user_agent = null, referrer = null, utm = null where subscriber_id = $1',
    [subscriberId],
  );
  await db.query('update conversion set subscriber_id = null where subscriber_id = $1', [subscriberId]);
}
