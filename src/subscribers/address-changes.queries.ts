import type { EntityManager } from 'typeorm';

export interface FormerAddress {
  email: string;
  emailKey: string;
}

/** In SQL, of the subscriber `$1`: the keys of the addresses they had before. One that somebody else has by now is no longer theirs. */
export const FORMER_KEYS = `(select c.key_before from address_change c where c.subscriber_id = $1 and c.changed_at is not null
  and not exists (select from subscriber o where o.email_key = c.key_before))`;

/** In SQL: whether the sender has given them another address. A program that writes the same one in small letters has not. */
const movedBySender = (change: string): string =>
  `(${change}.source in ('owner', 'api') and ${change}.key_before <> ${change}.email_key)`;

/** The addresses somebody had before, each once, the first one first. Served by address_change_subscriber. */
export async function formerAddresses(db: EntityManager, subscriberId: string): Promise<FormerAddress[]> {
  return db.query(
    `select min(c.email_before) as email, c.key_before as "emailKey" from address_change c
     where c.subscriber_id = $1 and c.key_before in ${FORMER_KEYS} group by c.key_before order by min(c.id)`,
    [subscriberId],
  );
}

/**
 * The change by which they came to the mailbox that they have; null for everybody who has the one they came with. What was sent
 * before it proves nothing of that mailbox. Served by address_change_subscriber.
 */
export async function lastMove(db: EntityManager, subscriberId: string): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `select id from address_change where subscriber_id = $1 and changed_at is not null and key_before <> email_key
     order by id desc limit 1`,
    [subscriberId],
  );
  return rows[0]?.id ?? null;
}

/**
 * The status of somebody who bounced, at another address: what it would be had nothing come back. Served by
 * consent_event_subscriber.
 */
export async function statusBeforeBounce(
  db: EntityManager,
  subscriberId: string,
): Promise<'active' | 'pending' | 'unsubscribed'> {
  const rows: { status: 'active' | 'pending' | 'unsubscribed' }[] = await db.query(
    `select case
       when coalesce((select kind from consent_event where subscriber_id = s.id and purpose = 'marketing' order by id desc limit 1), '')
         = 'withdrawn' then 'unsubscribed'
       when s.confirmed_at is null then 'pending' else 'active' end as status
     from subscriber s where s.id = $1`,
    [subscriberId],
  );
  return rows[0]?.status ?? 'pending';
}

/**
 * The address that somebody had before they took others themselves since `since`, the first of them: whoever took one that was not
 * theirs may have taken a second one after it. Null for everybody else, and from a change by the sender on. Served by
 * address_change_subscriber.
 */
export async function guardedAddress(
  db: EntityManager,
  subscriberId: string,
  since: Date,
): Promise<FormerAddress | null> {
  const rows: FormerAddress[] = await db.query(
    `select email_before as email, key_before as "emailKey" from address_change
     where subscriber_id = $1 and source = 'page' and changed_at > $2 and id > coalesce((
       select max(m.id) from address_change m where m.subscriber_id = $1 and ${movedBySender('m')}), 0)
     order by id limit 1`,
    [subscriberId, since],
  );
  return rows[0] ?? null;
}

/**
 * Whether the address before that change may still be taken back: neither has the sender changed it since, nor has this change, or
 * one before it, been taken back. What they took themselves after it bars nobody: it may have been the same thief. Served by
 * address_change_subscriber.
 */
export async function mayGoBack(db: EntityManager, changeId: string): Promise<boolean> {
  const rows: unknown[] = await db.query(
    `select 1 from address_change c where c.id = $1 and c.source = 'page' and not exists (
       select from address_change l where l.subscriber_id = c.subscriber_id and l.changed_at is not null and l.id > c.id
         and (${movedBySender('l')} or l.source = 'back' and c.id >= (
           select max(u.id) from address_change u where u.subscriber_id = l.subscriber_id and u.id < l.id
             and u.source = 'page' and u.changed_at is not null and u.key_before = l.email_key)))`,
    [changeId],
  );
  return rows.length > 0;
}
