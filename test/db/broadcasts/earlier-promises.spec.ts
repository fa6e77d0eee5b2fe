import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { promisesSql } from '../../../src/sequences/offers/promises.queries.js';
import { HOUR_MS, openOfferShop, UNTIL, type OfferShop } from './offer-shop.js';

const LATER = new Date('2026-03-09T09:00:00Z');

/** What PostgreSQL says it did, node by node. */
interface PlanNode {
  'Relation Name'?: string;
  'Actual Loops': number;
  Plans?: PlanNode[];
}

describe('what earlier mails have promised about the offer of a broadcast', () => {
  let desk: OfferShop;
  beforeAll(async () => {
    desk = await openOfferShop();
  });
  afterAll(async () => desk?.close());
  afterEach(async () => desk.clear());

  /** How many mails are looked up for a reader of whom a broadcast about the offer asks. */
  const lookUps = async (): Promise<number> => {
    const { db, clock } = desk.shop;
    const promises = promisesSql(
      { subscriberId: '(select min(id) from subscriber)', slug: `'kit'`, now: '$1' },
      { withEnded: false },
    );
    const rows: { 'QUERY PLAN': { Plan: PlanNode }[] }[] = await db.query(
      `explain (analyze, format json) ${promises}`,
      [clock.now()],
    );
    const count = ({ Plans = [], ...node }: PlanNode): number =>
      (node['Relation Name'] === 'message' ? node['Actual Loops'] : 0) +
      Plans.reduce((sum, one) => sum + count(one), 0);
    return rows[0]?.['QUERY PLAN'].reduce((sum, { Plan }) => sum + count(Plan), 0) ?? 0;
  };

  it('costs no more with each broadcast about it that promised nothing or whose price has ended', async () => {
    await desk.soldTo(1, { personalDeadline: false, discountBps: 0 });
    const ends = new Date(desk.shop.clock.now().getTime() + HOUR_MS).toISOString();
    for (let count = 0; count < 2; count++) {
      await desk.started({ offer: { key: 'kit' } });
      await desk.started({ offer: { key: 'kit', discount: '20%', until: ends } });
    }
    desk.shop.clock.advance(HOUR_MS);
    expect(await lookUps()).toBe(0);
    await desk.started({ offer: { key: 'kit', discount: '50%', until: UNTIL } });
    await desk.started({ offer: { key: 'kit', discount: '20%', until: UNTIL } });
    expect(await lookUps()).toBe(2);
  });

  it('is kept where it was told to the rest of a split test', async () => {
    await desk.shop.publishOffer({ personalDeadline: false, discountBps: 0 });
    const people = Array.from({ length: 20 }, (_, nth) => `early${nth}@example.com`);
    for (const email of people) await desk.shop.mailTo(email, { expiresAt: LATER });
    const id = await desk.started({
      offer: { key: 'kit', discount: '50%', until: UNTIL },
      split: { arms: [{}, { subject: 'B' }], testPercent: 50, waitMinutes: 120, judge: 'clicks' },
    });
    // Those of the test promise it for longer, too: here it is the mails of the rest alone.
    await desk.shop.db.query('update broadcast_offer set told_until = expires_at');
    desk.shop.clock.advance(2 * HOUR_MS);
    await desk.settle();
    const rest: { email: string }[] = await desk.shop.db.query(
      'select s.email from message m join subscriber s on s.id = m.subscriber_id where m.broadcast_id = $1 and m.arm is null',
      [id],
    );
    const email = rest[0]?.email ?? '';
    expect((await desk.mailOf(email)).text).toContain('9 Mar');
    desk.shop.clock.set(new Date(LATER.getTime() - 1));
    expect(await desk.asked(email)).toEqual(['€24.50', '€24.50']);
    desk.shop.clock.set(LATER);
    expect(await desk.asked(email)).toEqual(['€49.00', '€49.00']);
  });
});
