import type { EntityManager } from 'typeorm';
import { forgetLogins } from './partner/partner.queries.js';

/** Money of the affiliate `a` that is held, due or in a payout nobody has paid yet. Served by commission_affiliate and payout_affiliate. */
const IS_OWED = `(exists (select 1 from payout y where y.affiliate_id = a.id and y.state = 'open')
  or exists (select 1 from (
       select currency, amount_minor as amount from commission where affiliate_id = a.id and payout_id is null
       union all select currency, -amount_minor from clawback where affiliate_id = a.id and payout_id is null) e
     group by currency having sum(amount) > 0))`;

const NOBODY = `name = null, email = null, email_key = null, mailbox = null, state = 'paused', erased = true,
  forget_when_paid = false`;

/**
 * The owner forgets an affiliate: name and address go, and the link earns no more. Clicks, commissions and payouts stay
 * under the code, as the books need them. What was owed is in no payout run any more.
 */
export async function forgetAffiliate(manager: EntityManager, id: string): Promise<void> {
  await manager.query(`update affiliate set ${NOBODY} where id = $1`, [id]);
  await forgetLogins(manager, id);
}

/**
 * Within the erasure of the subscriber of the same address. The link earns no more; who is owed money keeps name and
 * address until they have been paid, as nobody could pay them otherwise. Returns whether that is so.
 */
export async function forgetAffiliateOf(manager: EntityManager, emailKey: string): Promise<boolean> {
  const [[waiting]]: [{ id: string }[], number] = await manager.query(
    `update affiliate a set state = 'paused', forget_when_paid = true where email_key = $1 and ${IS_OWED} returning id`,
    [emailKey],
  );
  if (waiting !== undefined) return true;
  const [gone]: [{ id: string }[], number] = await manager.query(
    `update affiliate set ${NOBODY} where email_key = $1 returning id`,
    [emailKey],
  );
  for (const { id } of gone) await forgetLogins(manager, id);
  return false;
}

/** After money has gone to an affiliate or was taken back: who waited for the last of it is forgotten. */
export async function forgetPaidOff(manager: EntityManager, affiliateId: string): Promise<void> {
  const [gone]: [{ id: string }[], number] = await manager.query(
    `update affiliate a set ${NOBODY} where id = $1 and forget_when_paid and not ${IS_OWED} returning id`,
    [affiliateId],
  );
  for (const { id } of gone) await forgetLogins(manager, id);
}

/** Within the erasure of a buyer: of the clicks of the browser they ordered with that stays which earned, as the books have it. */
export async function forgetClicks(manager: EntityManager, orderIds: readonly string[]): Promise<void> {
  await manager.query(`update order_referral set touches = '[]' where order_id = any ($1::bigint[])`, [
    orderIds,
  ]);
}
