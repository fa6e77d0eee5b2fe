import type { EntityManager } from 'typeorm';

/**
 * An affiliate is forgotten, by their own wish or with the subscriber of the same address: name and address go, and the
 * link earns no more. Clicks, commissions and payouts stay under the code, as the books need them.
 */
export async function forgetAffiliate(
  manager: EntityManager,
  who: { id: string } | { emailKey: string },
): Promise<void> {
  const [column, value] = 'id' in who ? ['id', who.id] : ['email_key', who.emailKey];
  await manager.query(
    `update affiliate set name = null, email = null, email_key = null, mailbox = null, state = 'paused', erased = true
      where ${column} = $1`,
    [value],
  );
}
