import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { countStages, countUpsells } from '../../../../src/analytics/funnel.queries.js';
import { UpsellsService } from '../../../../src/orders/upsells/upsells.service.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { BROWSER, OPENED_AT, openShop, type Shop } from '../shop.js';

const ALWAYS = { from: null, to: null };

describe('what is offered after an order', () => {
  let shop: Shop;

  beforeAll(async () => {
    shop = await openShop();
    for (const [key, amountMinor] of [
      ['coaching', 19_900],
      ['course', 9_900],
      ['mini', 900],
    ] as const)
      await shop.products.publish(shop.db.manager, {
        ...{
          key,
          funnelKey: 'shop',
          name: `The ${key}`,
          description: 'More of it.',
          fileIds: [],
          licence: true,
        },
        price: { amountMinor, currency: 'EUR' },
      });
    const more = { personalDeadline: false, bumpProductKey: undefined };
    await shop.publishOffer({ ...more, slug: 'course', productKey: 'course', discountBps: 0 });
    await shop.publishOffer({ ...more, slug: 'mini', productKey: 'mini', discountBps: 0 });
    await shop.publishOffer({ ...more, slug: 'coaching', productKey: 'coaching', upsell: 'course' });
    await shop.publishOffer({ upsell: 'coaching', downsell: 'mini', personalDeadline: false });
  });

  afterEach(() => shop.clock.set(OPENED_AT));
  afterAll(async () => shop?.close());

  const post = async (path: string, form: Record<string, string>, status = 303): Promise<string> => {
    const answer = await shop.http
      .post(path)
      .set('User-Agent', BROWSER)
      .type('form')
      .send(form)
      .expect(status);
    return answer.headers['location'] ?? '';
  };
  /** Pays for the kit; returns where that leads. */
  const bought = async (email: string, more = {}): Promise<string> =>
    post(await post('/checkout/kit', { email, name: 'Bo', ...more }), { outcome: 'paid' });
  const ordersOf = async (email: string): Promise<Record<string, unknown>[]> =>
    shop.db.query(
      `select o.id, f.slug as offer, o.status, o.amount_minor::int as amount, o.parent_order_id is not null as child, o.name
         from orders o join offer f on f.id = o.offer_id where lower(o.email) = $1 order by o.id`,
      [email],
    );

  it('is taken by one button: an order of its own beside the first, with its delivery and receipt', async () => {
    const path = await bought('yes@example.com');
    expect(path).toMatch(/^\/upsell\//);
    await shop.http.head(path).expect(200);
    const page = await shop.http.get(path).expect(200);
    expect(page.text).toMatch(
      /is paid and yours[\s\S]*€139\.30[\s\S]*€199\.00[\s\S]*30% off[\s\S]*No thanks/,
    );
    const pay = await post(path, { answer: 'accept' });
    expect(pay).toMatch(/^\/checkout\/coaching\/pay\//);
    // A second click, and a click on no afterwards, lead to the same order.
    expect(await post(path, { answer: 'accept' })).toBe(pay);
    expect(await post(path, { answer: 'decline' })).not.toMatch(/^\/checkout/);
    expect((await shop.http.get(pay).expect(200)).text).toMatch(/€139\.30[\s\S]*Changed your mind/);
    const next = await post(pay, { outcome: 'paid' });
    expect(next).toMatch(/^\/upsell\//);
    expect(await post(pay, { outcome: 'paid' })).toBe(next);
    // No thanks to the upsell of the upsell: it names no downsell, so the order is next.
    const thanks = await post(next, { answer: 'decline' });
    expect(thanks).toMatch(/^\/order\//);
    expect(await ordersOf('yes@example.com')).toMatchObject([
      { offer: 'kit', status: 'paid', amount: 3430, child: false },
      { offer: 'coaching', status: 'paid', amount: 13_930, child: true, name: 'Bo' },
    ]);
    const shown = await shop.http.get(thanks).expect(200);
    expect(shown.text).toMatch(/Your orders[\s\S]*are paid[\s\S]*Launch kit[\s\S]*The coaching/);
    expect([...shown.text.matchAll(/class="licence-key"/g)]).toHaveLength(2);
    const receipts = await shop.db.query(
      `select 1 from message where kind = 'receipt' and lower(address) = $1`,
      ['yes@example.com'],
    );
    expect(receipts).toHaveLength(2);
    // Offered once: whoever comes back by the first payment is led to the order.
    expect(await post(path, { answer: 'accept' })).toBe(thanks);
  });

  it('is declined for a smaller one, and then for nothing', async () => {
    const path = await bought('no@example.com');
    const mini = await post(path, { answer: 'decline' });
    expect((await shop.http.get(mini).expect(200)).text).toContain('The mini');
    expect(await post(mini, { answer: 'decline' })).toMatch(/^\/order\//);
    await shop.http.get(path).expect(303);
    expect(await ordersOf('no@example.com')).toHaveLength(1);
    await post(path, { answer: 'maybe' }, 422);
  });

  it('never costs the first order: a payment that is refused or left leads back to it', async () => {
    const path = await bought('poor@example.com');
    const pay = await post(path, { answer: 'accept' });
    const declined = await shop.http.post(pay).type('form').send({ outcome: 'declined' }).expect(200);
    expect(declined.text).toMatch(/Try again[\s\S]*Your first order is paid whatever happens here/);
    const order = /href="(\/order\/[\w-]+)"/.exec(declined.text)?.[1] ?? '';
    expect((await shop.http.get(order).expect(200)).text).toContain('Launch kit');
    expect(await ordersOf('poor@example.com')).toMatchObject([{ status: 'paid' }, { status: 'declined' }]);
    // The card works after all.
    expect(await post(pay, { outcome: 'paid' })).toMatch(/^\/upsell\//);
    expect(await ordersOf('poor@example.com')).toMatchObject([{ status: 'paid' }, { status: 'paid' }]);
  });

  it('is not what the buyer owns already', async () => {
    await post(await post('/checkout/coaching', { email: 'owner@example.com' }), { outcome: 'paid' });
    const path = await bought('owner@example.com');
    expect((await shop.http.get(path).expect(200)).text).toContain('The mini');
    // Bought in another tab meanwhile.
    await post(await post('/checkout/mini', { email: 'owner@example.com' }), { outcome: 'paid' });
    expect(await post(path, { answer: 'accept' })).toMatch(/^\/order\//);
    expect(await bought('owner@example.com')).toMatch(/^\/order\//);
  });

  it('ends after an hour, and says so', async () => {
    const path = await bought('late@example.com');
    shop.clock.set(new Date(OPENED_AT.getTime() + 3_600_000));
    const page = await shop.http.get(path).expect(410);
    expect(page.text).toMatch(/This offer has ended[\s\S]*href="\/order\/[\s\S]*Open my order/);
    await post(path, { answer: 'accept' }, 410);
    expect(await ordersOf('late@example.com')).toHaveLength(1);
    await shop.http.get('/upsell/forged').expect(404);
  });

  it('is counted: shown, taken, declined and what it earned, apart from the orders of mails', async () => {
    const [coaching] = (await countUpsells(shop.db.manager, 'shop', ALWAYS)).filter(
      ({ offer }) => offer === 'coaching',
    );
    expect(coaching).toEqual({
      ...{ offer: 'coaching', shown: 3, taken: 2, declined: 1 },
      revenue: { amountMinor: 27_860, currency: 'EUR' },
    });
    expect(await countStages(shop.db.manager, 'shop', ALWAYS)).toMatchObject({ orders: 8 });
    // Orders keep their currency when the product gets another one: euros are not called dollars.
    await shop.db.query(`update product set currency = 'USD' where key = 'coaching'`);
    const [changed] = (await countUpsells(shop.db.manager, 'shop', ALWAYS)).filter(
      ({ offer }) => offer === 'coaching',
    );
    expect(changed?.revenue).toEqual({ amountMinor: 0, currency: 'USD' });
    await shop.db.query(`update product set currency = 'EUR' where key = 'coaching'`);
  });

  it('answers everybody when many press its button at once', async () => {
    const token = (await bought('crowd@example.com')).replace('/upsell/', '');
    const upsells = shop.app.get(UpsellsService);
    const answers = await Promise.all(
      Array.from({ length: 45 }, async () => upsells.accept(token, undefined)),
    );
    expect(new Set(answers.map((one) => 'order' in one && one.order?.id)).size).toBe(1);
    expect(await ordersOf('crowd@example.com')).toHaveLength(2);
  });

  it('is not taken after an order that is refunded while its button is pressed', async () => {
    const token = (await bought('undone@example.com')).replace('/upsell/', '');
    const [{ id }] = (await ordersOf('undone@example.com')) as [{ id: string }];
    const refund = await gate(shop.db, `update orders set status = 'refunded' where id = $1`, [id]);
    const accepting = shop.app.get(UpsellsService).accept(token, undefined);
    await untilWaiting(shop.db, 1, accepting);
    await refund.open();
    expect(await accepting).toEqual({ kind: 'unknown' });
    expect(await ordersOf('undone@example.com')).toHaveLength(1);
  });

  it('is over for a buyer who is erased while its button is pressed', async () => {
    const token = (await bought('gone@example.com')).replace('/upsell/', '');
    const [order] = (await ordersOf('gone@example.com')) as [{ id: string }];
    const buyer = 'delete from subscriber where id = (select subscriber_id from orders where id = $1)';
    const erasure = await gate(shop.db, 'select 1 from orders where id = $1 for update', [order.id]);
    await erasure.query(buyer, [order.id]);
    await erasure.query(`update orders set email = 'erased', subscriber_id = null where id = $1`, [order.id]);
    const accepting = shop.app.get(UpsellsService).accept(token, undefined);
    await untilWaiting(shop.db, 1, accepting);
    await erasure.open();
    expect(await accepting).toMatchObject({ kind: 'over', order: null });
    expect(await ordersOf('erased')).toHaveLength(1);
  });

  it('begins the customers’ letters for who bought, once for each order, not for who forwarded the mail', async () => {
    const definition = {
      ...{ window: null, exitOn: [], first: 'over' },
      enterOn: [{ kind: 'purchased', product: 'kit' }],
      reentry: { mode: 'event' },
      nodes: [{ key: 'over', kind: 'end', delay: null, at: null }],
    };
    await shop.db.query(
      `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
         values ('customers', 'shop', 'Customers', '{}', now(), now()) returning id),
       v as (insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
         select id, 1, $1, '', now() from q returning id, sequence_id) select id, sequence_id from v`,
      [JSON.stringify(definition)],
    );
    await shop.db.query(
      `update sequence q set current_version_id = v.id from sequence_version v where v.sequence_id = q.id and q.key = 'customers'`,
    );
    const forwards = await shop.mailTo('forwards@example.com', null);
    const buys = await shop.mailTo('buys@example.com', null);
    const customers = async (): Promise<unknown> =>
      shop.db.query(
        `select e.subscriber_id as id, e.entry_key as "entryKey" from enrollment e join sequence q on q.id = e.sequence_id
         where q.key = 'customers' order by e.id`,
      );
    await bought('buys@example.com', { m: forwards.token });
    expect(await customers()).toMatchObject([{ id: buys.subscriberId }]);
    const rows = await shop.db.query('select status from enrollment where id = any($1)', [
      [forwards.enrollmentId, buys.enrollmentId],
    ]);
    expect(rows).toEqual([{ status: 'exited' }, { status: 'exited' }]);
    shop.clock.advance(86_400_000);
    await bought('buys@example.com', { m: forwards.token });
    const orders = await ordersOf('buys@example.com');
    expect(await customers()).toEqual(
      orders.map(({ id }) => ({ id: buys.subscriberId, entryKey: `order:${String(id)}` })),
    );
    expect(orders).toHaveLength(2);
  });
});
