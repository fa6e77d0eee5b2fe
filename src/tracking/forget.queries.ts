import type { EntityManager } from 'typeorm';
import { LOCKS } from '../infra/database/advisory-locks.js';

/**
 * Before the statement that writes down what somebody was seen to do and asks whether they agree to it, in one transaction with
 * it: what such a statement saw of a consent that is being taken back is over when it ends, and by then its row may be
 * there. Waits for whoever takes one back to commit.
 */
export async function holdSeen(db: EntityManager): Promise<void> {
  await db.query('select pg_advisory_xact_lock_shared($1)', [LOCKS.seen]);
}

/**
 * Called when a person does not want to be counted any more: what was seen of them goes. Looks at pages stay as those of
 * anybody, which they would have been without the consent; what was signed up for and bought stays, without the mark of
 * the browser that ties it to those looks. Waits for what is being written down at this moment, and whoever would write more waits for the
 * commit, after which they see that the consent is gone. Served by tracking_event_message, visit_subscriber, conversion_subscriber and
 * conversion_message.
 */
export async function forgetSeen(db: EntityManager, subscriberId: string): Promise<void> {
  const mails = 'select id from message where subscriber_id = $1';
  await db.query('select pg_advisory_xact_lock($1)', [LOCKS.seen]);
  await db.query(`delete from tracking_event where message_id in (${mails})`, [subscriberId]);
  await db.query('update visit set subscriber_id = null, message_id = null where subscriber_id = $1', [
    subscriberId,
  ]);
  await db.query(
    `update conversion set visitor_id = null
     where visitor_id is not null and (subscriber_id = $1 or message_id in (${mails}))`,
    [subscriberId],
  );
}

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
