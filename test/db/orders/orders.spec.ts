import { LICENCE_KEY_BYTES, licenceKey } from '../../../src/orders/licence-key.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { gate, untilWaiting } from '../../support/database.js';
import { API_KEY, BROWSER, OPENED_AT, openShop, type Shop } from './shop.js';

const DEADLINE = new Date(OPENED_AT.getTime() + 72 * 3_600_000);
const DAY_MS = 86_400_000;

describe('orders', () => {
  let shop: Shop;

  beforeAll(async () => {
    shop = await openShop({ env: { TRUST_PROXY: '1' } });
    await shop.publishOffer();
  });

  afterEach(() => shop.clock.set(OPENED_AT));
  afterAll(async () => shop?.close());

  const post = (path: string, form: Record<string, string>) =>
    shop.http.post(path).set('User-Agent', BROWSER).type('form').send(form);

  async function checkedOut(form: Record<string, string>, path = '/checkout/kit'): Promise<string> {
    const answer = await post(path, form).expect(303);
    return answer.headers['location'] ?? '';
  }

  async function ordersOf(
    email: string,
  ): Promise<
    { id: string; number: string; status: string; amountMinor: number; subscriberId: string | null }[]
  > {
    return shop.db.query(
      `select id, number, status, amount_minor::int as "amountMinor", subscriber_id as "subscriberId" from orders where email = $1 order by id`,
      [email],
    );
  }

  const countOf = async (sql: string, value: unknown): Promise<number> =>
    ((await shop.db.query(`select count(*)::int as n from ${sql}`, [value])) as { n: number }[])[0]?.n ?? -1;

  it('go from the checkout over the payment to the downloads', async () => {
    const { token, subscriberId, enrollmentId } = await shop.mailTo('buyer@example.com', {
      expiresAt: DEADLINE,
    });
    const form = await shop.http.get(`/checkout/kit?m=${token}`).expect(200);
    expect(form.text).toContain('€34.30');
    const pay = await checkedOut({ email: ' Buyer@example.com', name: 'Bo Byer', bump: 'yes', m: token });
    expect(pay).toMatch(/^\/checkout\/kit\/pay\//);
    expect((await shop.http.get(pay).expect(200)).text).toMatch(/TEST PAYMENT[\s\S]*€43\.30/);
    expect(await ordersOf('Buyer@example.com')).toMatchObject([{ status: 'pending', amountMinor: 4330 }]);

    const thanks = (await post(pay, { outcome: 'paid' }).expect(303)).headers['location'] ?? '';
    const page = await shop.http.get(thanks).expect(200);
    const [order] = await ordersOf('Buyer@example.com');
    expect(order).toMatchObject({ status: 'paid', subscriberId });
    expect(page.text).toContain(order?.number);
    expect(page.text).toMatch(/[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}/);
    const links = [...page.text.matchAll(/\/download\/[\w-]+/g)].map(([path]) => path);
    expect(links).toHaveLength(2);
    for (const path of links) await shop.http.get(path).expect(200);

    expect(await countOf(`conversion where kind = 'order' and dedupe_key = $1`, `order:${order?.id}`)).toBe(
      1,
    );
    expect(
      await countOf(
        `subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = $1 and t.name in ('bought:kit', 'bought:checklist')`,
        subscriberId,
      ),
    ).toBe(2);
    const enrollments = await shop.db.query('select status from enrollment where id = $1', [enrollmentId]);
    expect(enrollments).toEqual([{ status: 'exited' }]);
  });

  it('are confirmed by a receipt with the amounts, the licences and links that work for a week', async () => {
    const pay = await checkedOut({ email: 'receipt@example.com' });
    await post(pay, { outcome: 'paid' }).expect(303);
    const [order] = await ordersOf('receipt@example.com');
    const rows = (await shop.db.query(
      `select class, kind, address, funnel_key as "funnelKey", data from message where dedupe_key = $1`,
      [`receipt:${order?.id}`],
    )) as [{ data: { order: { downloads: { url: string }[]; url: string } } }];
    expect(rows).toMatchObject([
      {
        class: 'transactional',
        kind: 'receipt',
        address: 'receipt@example.com',
        funnelKey: 'shop',
        data: {
          order: {
            number: order?.number,
            total: { amountMinor: 4900, currency: 'EUR' },
            totalText: '€49.00',
            lines: [
              { name: 'Launch kit', amount: { amountMinor: 4900, currency: 'EUR' }, amountText: '€49.00' },
            ],
            licences: [{ product: 'Launch kit' }],
            downloads: [{ name: 'kit.zip' }],
          },
        },
      },
    ]);
    const { downloads, url } = rows[0].data.order;
    const path = new URL(downloads[0]?.url ?? '').pathname;
    shop.clock.advance(7 * DAY_MS - 1);
    await shop.http.get(path).expect(200);
    shop.clock.advance(1);
    await shop.http.get(path).expect(410);
    const page = await shop.http.get(new URL(url).pathname).expect(200);
    await shop.http.get(/\/download\/[\w-]+/.exec(page.text)?.[0] ?? '').expect(200);
  });

  it('take their amounts from the offer, whatever the form says', async () => {
    await checkedOut(
      { email: 'cheap@example.com', price: '1', amountMinor: '1', discountBps: '10000' },
      '/checkout/kit?seen=99999999',
    );
    expect(await ordersOf('cheap@example.com')).toMatchObject([{ amountMinor: 4900 }]);
    await post('/checkout/kit?seen=1', { email: 'cheap@example.com' }).expect(422);
  });

  it('keep what was typed when something is wrong with it', async () => {
    const answer = await post('/checkout/kit', {
      email: 'not an address',
      name: 'Bo <b>',
      bump: 'yes',
    }).expect(422);
    expect(answer.text).toContain('value="not an address"');
    expect(answer.text).toContain('value="Bo &lt;b&gt;"');
    expect(answer.text).toMatch(/id="bump"[^>]* checked/);
    expect(answer.text).toContain('Please check the email address');
    await post('/checkout/nothing', { email: 'a@example.com' }).expect(404);
  });

  it('are not taken at a price that ended while the form stood open; the new price is shown first', async () => {
    const { token } = await shop.mailTo('slow@example.com', { expiresAt: DEADLINE });
    const form = await shop.http.get(`/checkout/kit?m=${token}`).expect(200);
    const action = /action="([^"]*)"/.exec(form.text)?.[1] ?? '';
    shop.clock.set(DEADLINE);
    const refused = await post(action, { email: 'slow@example.com', m: token }).expect(422);
    expect(refused.text).toContain('The reduced price has ended');
    expect(refused.text).toContain('value="slow@example.com"');
    expect(await ordersOf('slow@example.com')).toEqual([]);
    const newAction = /action="([^"]*)"/.exec(refused.text)?.[1] ?? '';
    await checkedOut({ email: 'slow@example.com', m: token }, newAction);
    expect(await ordersOf('slow@example.com')).toMatchObject([{ amountMinor: 4900 }]);
  });

  it('keep the price of the checkout for a day, over the deadline, and no longer', async () => {
    const { token } = await shop.mailTo('payer@example.com', { expiresAt: DEADLINE });
    shop.clock.set(new Date(DEADLINE.getTime() - 1));
    const pay = await checkedOut({ email: 'payer@example.com', m: token });
    // A link ends on a whole second.
    shop.clock.advance(DAY_MS + 1);
    expect((await shop.http.get(pay).expect(410)).text).toContain('This checkout has ended');
    await post(pay, { outcome: 'paid' }).expect(410);
    shop.clock.advance(-1000);
    await post(pay, { outcome: 'paid' }).expect(303);
    expect(await ordersOf('payer@example.com')).toMatchObject([{ status: 'paid', amountMinor: 3430 }]);
  });

  it('are one after a double click', async () => {
    const locations = await Promise.all([1, 2, 3].map(() => checkedOut({ email: 'twice@example.com' })));
    expect(new Set(locations).size).toBe(1);
    expect(await ordersOf('twice@example.com')).toHaveLength(1);
  });

  it('are another one for another browser, which must not see the first', async () => {
    const mine = await checkedOut({ email: 'same@example.com' });
    const theirs = await shop.http
      .post('/checkout/kit')
      .set('User-Agent', 'Another/1.0')
      .type('form')
      .send({ email: 'same@example.com' })
      .expect(303);
    expect(theirs.headers['location']).not.toBe(mine);
  });

  it('are another one when the offer sells something else by now, at the same price', async () => {
    const swap = { slug: 'swap', discountBps: 0, personalDeadline: false };
    const product = { key: 'kit-2', funnelKey: 'shop', name: 'Second kit', description: '', fileIds: [] };
    const price = { amountMinor: 4900, currency: 'EUR' };
    await shop.products.publish(shop.db.manager, { ...product, price, licence: false });
    await shop.publishOffer(swap);
    const first = await checkedOut({ email: 'swap@example.com' }, '/checkout/swap');
    await shop.publishOffer({ ...swap, productKey: 'kit-2' });
    const second = await checkedOut({ email: 'swap@example.com' }, '/checkout/swap');
    expect(second).not.toBe(first);
    expect(await checkedOut({ email: 'swap@example.com' }, '/checkout/swap')).toBe(second);
  });

  it('are taken from a reader who is erased at the same moment', async () => {
    const { token, subscriberId } = await shop.mailTo('leaving@example.com', null);
    const erasure = await gate(shop.db, 'delete from subscriber where id = $1', [subscriberId]);
    const ordering = checkedOut({ email: 'leaving@example.com', m: token });
    await untilWaiting(shop.db, 1, ordering);
    await erasure.open();
    expect(await ordering).toContain('/pay/');
    expect(await ordersOf('leaving@example.com')).toMatchObject([{ subscriberId: null }]);
  });

  it('are paid once, however many payments arrive at the same moment', async () => {
    const pay = await checkedOut({ email: 'once@example.com', bump: 'yes' });
    const answers = await Promise.all([1, 2, 3, 4].map(() => post(pay, { outcome: 'paid' }).expect(303)));
    expect(new Set(answers.map(({ headers }) => headers['location'])).size).toBe(1);
    const [order] = await ordersOf('once@example.com');
    expect(await countOf('conversion where order_id = $1', order?.id)).toBe(1);
    expect(
      await countOf('licence k join order_line l on l.id = k.order_line_id where l.order_id = $1', order?.id),
    ).toBe(1);
    expect(await countOf('message where dedupe_key = $1', `receipt:${order?.id}`)).toBe(1);
  });

  it('leave nothing half done when a payment cannot be booked', async () => {
    await shop.publishOffer({ slug: 'broken', content: { title: 'Broken', receiptTemplateId: 'broken' } });
    await checkedOut({ email: 'broken@example.com' }, '/checkout/broken');
    const [order] = await ordersOf('broken@example.com');
    await expect(shop.orders.markPaid(order?.id ?? '', 'test', 'broken')).rejects.toThrow('bigint');
    expect(await ordersOf('broken@example.com')).toMatchObject([{ status: 'pending' }]);
    expect(await countOf('subscriber where email_key = $1', 'broken@example.com')).toBe(0);
    expect(
      await countOf('licence k join order_line l on l.id = k.order_line_id where l.order_id = $1', order?.id),
    ).toBe(0);
    await expect(shop.orders.markPaid('999999', 'test', 'nobody')).rejects.toMatchObject({
      code: 'ORDER_NOT_FOUND',
    });
  });

  it('offer the way back after a declined payment, and a second card may work', async () => {
    const { token } = await shop.mailTo('declined@example.com', { expiresAt: DEADLINE });
    const pay = await checkedOut({ email: 'declined@example.com', m: token });
    const declined = await post(pay, { outcome: 'declined' }).expect(200);
    expect(declined.text).toContain(`/checkout/kit?m=${token}`);
    expect(await ordersOf('declined@example.com')).toMatchObject([{ status: 'declined' }]);
    await post(pay, { outcome: 'paid' }).expect(303);
    await post(pay, { outcome: 'declined' }).expect(303);
    expect(await ordersOf('declined@example.com')).toMatchObject([{ status: 'paid' }]);
    await shop.http.get(pay).expect(303);
  });

  it('name what a payment may come to', async () => {
    const pay = await checkedOut({ email: 'odd@example.com' });
    const answer = await post(pay, { outcome: 'stolen' }).expect(422);
    expect(answer.body).toMatchObject({
      code: 'PAYMENT_OUTCOME_INVALID',
      errors: [{ field: 'outcome', allowed: ['paid', 'declined'] }],
    });
    await post(pay.replace('/checkout/kit/', '/checkout/broken/'), { outcome: 'paid' }).expect(404);
    await shop.http.get('/order/forged').expect(404);
  });

  it('need no payment when there is nothing to pay', async () => {
    await shop.publishOffer({ slug: 'gift', discountBps: 10_000, personalDeadline: false });
    const thanks = await checkedOut({ email: 'gift@example.com' }, '/checkout/gift');
    await shop.http.get(thanks).expect(200);
    expect(await ordersOf('gift@example.com')).toMatchObject([{ status: 'paid', amountMinor: 0 }]);
    const withBump = await checkedOut({ email: 'gift2@example.com', bump: 'yes' }, '/checkout/gift');
    expect(withBump).toContain('/pay/');
  });

  it('of nothing to pay do not flood a stranger with receipts, under whatever spelling of the address', async () => {
    const order = (email: string, from = '203.0.113.9') =>
      post('/checkout/gift', { email, name: 'Buy now' }).set('X-Forwarded-For', from);
    for (let one = 0; one < 10; one++) await order(`victim+${one}@example.com`).expect(303);
    const refused = await order('victim@example.com').expect(429);
    expect(refused.headers['retry-after']).toBe('3600');
    expect(refused.text).toMatch(/60 minutes[\s\S]*value="victim@example.com"[\s\S]*value="Buy now"/);
    expect(await countOf(`message where kind = 'receipt' and address like $1`, 'victim%')).toBe(10);
    // Who tries from one place does not keep the victim from ordering, and from many places not without end.
    await order('victim@example.com', '198.51.1.1').expect(303);
    await shop.db.query(
      `update rate_limit set points = 60 where key like 'checkout-mailbox:%' and points = 11`,
    );
    await order('victim@example.com', '198.51.2.1').expect(429);
    // A network that sends as no office and no launch day does.
    await order('one@example.com').expect(303);
    await shop.db.query(`update rate_limit set points = 300 where key = 'checkout-block:203.0.113'`);
    await order('two@example.com', '203.0.113.77').expect(429);
    await order('two@example.com', '203.0.114.77').expect(303);
    shop.clock.advance(600_000);
    await order('two@example.com', '203.0.113.77').expect(303);
  });

  it('make a stranger known, but give no consent in their name', async () => {
    await post(await checkedOut({ email: 'stranger@example.com' }), { outcome: 'paid' }).expect(303);
    const [order] = await ordersOf('stranger@example.com');
    const rows = await shop.db.query('select status from subscriber where id = $1', [order?.subscriberId]);
    expect(rows).toEqual([{ status: 'pending' }]);
    expect(await countOf('consent_event where subscriber_id = $1', order?.subscriberId)).toBe(0);
  });

  it('end the letters of the reader who bought under another address', async () => {
    const { token, enrollmentId } = await shop.mailTo('private@example.com', { expiresAt: DEADLINE });
    await post(await checkedOut({ email: 'work@example.com', m: token }), { outcome: 'paid' }).expect(303);
    expect(await shop.db.query('select status from enrollment where id = $1', [enrollmentId])).toEqual([
      { status: 'exited' },
    ]);
  });

  it('show no downloads once they are refunded', async () => {
    const thanks =
      (await post(await checkedOut({ email: 'back@example.com' }), { outcome: 'paid' }).expect(303)).headers[
        'location'
      ] ?? '';
    const [order] = await ordersOf('back@example.com');
    const download = /\/download\/[\w-]+/.exec((await shop.http.get(thanks).expect(200)).text)?.[0] ?? '';
    await shop.http.get(download).expect(200);
    const again = await checkedOut({ email: 'back@example.com', bump: 'yes' });
    const refund = (id: string | undefined, body: object, status: number) =>
      shop.http
        .post(`/api/v1/orders/${id}/refund`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send(body)
        .expect(status);
    const tags = async (): Promise<string[]> => {
      const rows = (await shop.db.query(
        `select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = $1 order by 1`,
        [order?.subscriberId],
      )) as { name: string }[];
      return rows.map(({ name }) => name);
    };
    const open = (await ordersOf('back@example.com'))[1];
    expect((await refund(open?.id, {}, 409)).body).toMatchObject({ code: 'ORDER_REFUND_CONFLICT' });
    await post(again, { outcome: 'paid' }).expect(303);
    const refunded = await refund(order?.id, { reason: 'did not like it' }, 200);
    expect(refunded.body).toMatchObject({
      status: 'refunded',
      refundedAt: OPENED_AT.toISOString(),
      refundReason: 'did not like it',
    });
    const one = await shop.http.get(`/api/v1/orders/${order?.id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect(one.body).toMatchObject({ lines: [{ licenceRevokedAt: OPENED_AT.toISOString() }] });
    const key = String((one.body as { lines: { licenceKey: string }[] }).lines[0]?.licenceKey);
    const licence = async (typed: string, status: number) =>
      (
        await shop.http
          .get(`/api/v1/licences/${encodeURIComponent(typed)}`)
          .set('Authorization', `Bearer ${API_KEY}`)
          .expect(status)
      ).body as { code: string };
    expect(await licence(key, 200)).toMatchObject({ key, isValid: false, orderId: order?.id });
    const kept =
      (
        (await shop.db.query(
          'select k.key from licence k join order_line l on l.id = k.order_line_id where l.order_id = $1',
          [open?.id],
        )) as { key: string }[]
      )[0]?.key ?? '';
    const typed = kept.toLowerCase().replaceAll('-', ' ');
    expect(await licence(typed, 200)).toMatchObject({ key: kept, isValid: true, productKey: 'kit' });
    expect((await licence(kept.slice(0, -1), 422)).code).toBe('LICENCE_INVALID');
    expect((await licence(licenceKey(Buffer.alloc(LICENCE_KEY_BYTES)), 404)).code).toBe('LICENCE_NOT_FOUND');
    // Neither does a link that was handed out before.
    expect((await shop.http.get(download).expect(410)).text).toContain('This order was refunded');
    expect((await shop.http.get(thanks).expect(410)).text).not.toContain('/download/');
    // The second order of the same product still counts as bought.
    expect(await tags()).toEqual(['bought:checklist', 'bought:kit']);
    expect((await refund(order?.id, { reason: 'twice' }, 200)).body).toMatchObject({
      refundReason: 'did not like it',
    });
    await refund(open?.id, {}, 200);
    expect(await tags()).toEqual([]);
    expect((await refund(open?.id, { why: 'x' }, 422)).body.code).toBe('REQUEST_INVALID');
  });

  it('are listed for programs, newest first', async () => {
    const get = (path: string) =>
      shop.http.get(`/api/v1/orders${path}`).set('Authorization', `Bearer ${API_KEY}`);
    const { data, nextCursor } = (await get('?limit=2').expect(200)).body as {
      data: { id: string }[];
      nextCursor: string;
    };
    expect(BigInt(data[0]?.id ?? 0)).toBeGreaterThan(BigInt(data[1]?.id ?? 0));
    const next = await get(`?limit=2&cursor=${nextCursor}`).expect(200);
    expect(BigInt(next.body.data[0].id as string)).toBeLessThan(BigInt(data[1]?.id ?? 0));
    const [order] = await ordersOf('Buyer@example.com');
    expect((await get(`/${order?.id}`).expect(200)).body).toMatchObject({
      number: order?.number,
      status: 'paid',
      total: { amountMinor: 4330, currency: 'EUR' },
      lines: [
        { productKey: 'kit', kind: 'main' },
        { productKey: 'checklist', kind: 'bump', amount: { amountMinor: 900 } },
      ],
    });
    await get('/999999').expect(404);
    await get('/abc').expect(422);
  });
});
