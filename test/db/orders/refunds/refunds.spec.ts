import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelLintService } from '../../../../src/funnels/lint/funnel-lint.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { API_KEY, START, startTestApp, type TestApp } from '../../../support/app.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { ownerPages } from '../../../support/owner-pages.js';

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const eur = (amountMinor: number) => ({ amountMinor, currency: 'EUR' });

interface Shown {
  id: string;
  number: string;
  status: string;
  subscriberId: string;
  refunded: { amountMinor: number };
  refundReason: string | null;
  lines: {
    id: string;
    productKey: string;
    refunded: { amountMinor: number };
    takenBackAt: string | null;
    licenceRevokedAt: string | null;
  }[];
  refunds: { id: string; amount: object; reason: string | null; lines: object[] }[];
}

let t: TestApp;
let cookie = '';
let count = 0;
/** Kit with a licence for 49.00, and a checklist for 9.00 which makes a member for a year. */
let order: Shown;
let email = '';
/** The page of what was bought. */
let thanks = '';

beforeAll(async () => {
  t = await startTestApp();
  await t.dataSource.query(`update product set membership = '12 months' where key = 'checklist'`);
  ({ cookie } = await ownerPages(t));
});
afterAll(async () => t.close());

beforeEach(async () => {
  t.clock.set(START);
  email = `buyer${++count}@example.com`;
  const placed = await t.http
    .post('/checkout/launch-kit')
    .set('User-Agent', BROWSER)
    .type('form')
    .send({ email, bump: 'yes' })
    .expect(303);
  const pay = String(placed.headers['location']);
  thanks = String(
    (await t.http.post(pay).type('form').send({ outcome: 'paid' }).expect(303)).headers['location'],
  );
  const [{ id }] = (await t.dataSource.query('select max(id) as id from orders')) as [{ id: string }];
  order = await shown(id);
});

const api = (method: 'get' | 'post' | 'delete', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const shown = async (id = order.id): Promise<Shown> => (await api('get', `orders/${id}`).expect(200)).body;
const refund = (body: object, key: string | null = `key-${count}`) => {
  const request = api('post', `orders/${order.id}/refund`);
  return (key === null ? request : request.set('Idempotency-Key', key)).send(body);
};
const lineOf = (productKey: string): string =>
  order.lines.find((line) => line.productKey === productKey)?.id ?? '';
const tags = async (): Promise<string[]> => {
  const rows: { name: string }[] = await t.dataSource.query(
    `select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = $1 order by 1`,
    [order.subscriberId],
  );
  return rows.map(({ name }) => name);
};
const membership = async (): Promise<unknown[]> =>
  (await api('get', `memberships?subscriberId=${order.subscriberId}`).expect(200)).body.data.map(
    ({ state }: { state: string }) => state,
  );
const revenue = async (): Promise<number> =>
  (await api('get', 'analytics/funnels/niche-ebook').expect(200)).body.revenue.amountMinor as number;

describe('a part of an order that is refunded', () => {
  it('is an amount, which is told once under its key and leaves the buyer what they bought', async () => {
    const before = await revenue();
    expect((await refund({ amount: eur(1000) }, null).expect(400)).body.code).toBe('REFUND_KEY_MISSING');
    const body = { amount: eur(1000), reason: 'came late' };
    const first = await refund(body).expect(200);
    expect(first.body).toMatchObject({
      status: 'paid',
      refundedAt: null,
      refunded: eur(1000),
      refunds: [
        { amount: eur(1000), reason: 'came late', lines: [eur(845), eur(155)].map((amount) => ({ amount })) },
      ],
    });
    expect((await refund(body).expect(200)).body).toEqual(first.body);
    // The answer is kept for a day, the key with the refund for good.
    await t.dataSource.query('delete from idempotency_key');
    expect((await refund(body).expect(200)).body).toEqual(first.body);
    await t.dataSource.query('delete from idempotency_key');
    expect((await refund({ amount: eur(999) }).expect(409)).body.code).toBe('ORDER_REFUND_CONFLICT');
    expect(await revenue()).toBe(before - 1000);
    expect([await tags(), await membership()]).toEqual([
      ['bought:checklist', 'bought:launch-kit'],
      ['active'],
    ]);
    const page = (await t.http.get(thanks).expect(200)).text;
    expect(page).toMatch(/Refunded<\/th><td>−€10\.00/);
    expect(page.match(/\/download\/[\w-]+/g)).toHaveLength(2);
    await t.runDue();
    const mails = (await t.mailsTo(email)).filter(({ subject }) => subject.includes('refunded'));
    expect(mails.map(({ subject }) => subject)).toEqual([`Your order ${order.number}: €10.00 refunded`]);
    expect(mails[0]?.text).toMatch(
      /Niche Launch Kit[\s\S]*−€8\.45[\s\S]*€10\.00 of €58\.00[\s\S]*stays yours/,
    );
    expect(mails[0]?.text).not.toContain('came late');
  });

  it('is a product, which goes back with its price and nothing else', async () => {
    const links = (await t.http.get(thanks).expect(200)).text.match(/\/download\/[\w-]+/g) ?? [];
    const body = { lines: [{ lineId: lineOf('checklist') }] };
    expect((await refund(body).expect(200)).body).toMatchObject({ status: 'paid', refunded: eur(900) });
    expect(await tags()).toEqual(['bought:launch-kit']);
    expect(await membership()).toEqual(['refunded']);
    const states = await Promise.all(links.map(async (path) => String((await t.http.get(path)).status)));
    expect(states.toSorted()).toEqual(['200', '410']);
    const conditions = (product: string) => ({ conditions: { purchased: { product } } });
    const bought = async (product: string): Promise<number> =>
      (await api('post', 'segments/count').send(conditions(product)).expect(200)).body.count as number;
    expect([await bought('checklist'), await bought('launch-kit')]).toEqual([count - 1, count]);
    expect((await refund(body, 'again').expect(409)).body.detail).toContain('Nothing');
    const { lines } = await shown();
    expect(lines.map(({ takenBackAt, licenceRevokedAt }) => [takenBackAt, licenceRevokedAt])).toEqual([
      [null, null],
      [START.toISOString(), null],
    ]);
    await t.runDue();
    // The receipt goes at the same moment, and either may arrive first.
    const texts = (await t.mailsTo(email)).map(({ text }) => text);
    expect(texts).toContainEqual(expect.stringMatching(/ends what belonged to The 30-Day Launch Checklist/));
    // The rest of the order takes the kit back, once.
    await refund({}, null).expect(200);
    await refund({}, null).expect(200);
    const whole = await shown();
    expect(whole).toMatchObject({ status: 'refunded', refunded: eur(5800), refunds: [{}, {}] });
    expect(whole.lines[0]?.licenceRevokedAt).toBe(START.toISOString());
    expect((await refund({ amount: eur(1) }, 'more').expect(409)).body.code).toBe('ORDER_REFUND_CONFLICT');
    await t.http.get(thanks).expect(410);
  });

  it('is only the bump, and leaves the main product that a discount made free', async () => {
    await t.dataSource.query(`update orders set amount_minor = 900 where id = $1`, [order.id]);
    await t.dataSource.query(`update order_line set amount_minor = 0 where id = $1`, [lineOf('launch-kit')]);
    await refund({ lines: [{ lineId: lineOf('checklist') }] }).expect(200);
    expect(await shown()).toMatchObject({ status: 'paid', refunded: eur(900) });
    expect(await tags()).toEqual(['bought:launch-kit']);
    await t.runDue();
    const [mail] = (await t.mailsTo(email)).filter(({ subject }) => subject.includes('refunded'));
    expect(mail?.text).toMatch(/ends what belonged to The 30-Day Launch Checklist/);
    // The free one goes back by its name, on the owner's page too.
    const page = `/admin/orders/${order.id}`;
    const { text } = await t.http.get(page).set('Cookie', cookie).expect(200);
    expect(text).toContain(`name="line.${lineOf('launch-kit')}"`);
    for (const gone of [`line.${lineOf('checklist')}`, 'kind-amount']) expect(text).not.toContain(gone);
    const form = { seen: '900', kind: 'lines', [`line.${lineOf('launch-kit')}`]: 'yes' };
    await t.http.post(`${page}/refund`).set('Cookie', cookie).type('form').send(form).expect(303);
    expect(await shown()).toMatchObject({ status: 'refunded', refunded: eur(900) });
    expect(await tags()).toEqual([]);
  });

  it('is under its key what was told under it, and another refund under that key is refused', async () => {
    const told = [
      { lines: [{ lineId: lineOf('checklist') }] },
      { lines: [{ lineId: lineOf('launch-kit') }] },
      { amount: eur(900) },
      {},
    ];
    await refund(told[0] ?? {}).expect(200);
    for (const [nth, body] of told.entries()) {
      await t.dataSource.query('delete from idempotency_key');
      const { body: answer } = await refund(body).expect(nth === 0 ? 200 : 409);
      if (nth > 0) expect(answer).toMatchObject({ code: 'ORDER_REFUND_CONFLICT' });
    }
    expect(await shown()).toMatchObject({ refunded: eur(900), refunds: [{}] });
    // Of one from before this was kept, only the amount is known.
    await t.dataSource.query('update refund set wish = null where order_id = $1', [order.id]);
    await t.dataSource.query('delete from idempotency_key');
    await refund({ amount: eur(899) }).expect(409);
    await t.dataSource.query('delete from idempotency_key');
    await refund(told[0] ?? {}).expect(200);
  });

  it('as an amount leaves the buyer what they bought, be it all they paid, and the mail says what stays', async () => {
    const said = async (): Promise<string> => {
      await t.runDue();
      return (await t.mailsTo(email)).at(-1)?.text ?? '';
    };
    await refund({ lines: [{ lineId: lineOf('checklist') }] }).expect(200);
    await t.runDue();
    t.clock.advance(60_000);
    await refund({ amount: eur(500) }, `five-${count}`).expect(200);
    expect(await said()).toMatch(/The rest of what you bought stays yours/);
    const { body } = await refund({ amount: eur(4400) }, `all-${count}`).expect(200);
    expect(body).toMatchObject({ status: 'paid', refunded: eur(5800) });
    expect(await tags()).toEqual(['bought:launch-kit']);
    expect((await t.http.get(thanks).expect(200)).text).toContain('/download/');
    expect(await said()).toMatch(/refunded your order[\s\S]*The rest of what you bought stays yours/);
    // Later the product goes too: the rest, which is nothing.
    await refund({}, null).expect(200);
    expect(await shown()).toMatchObject({ status: 'refunded', refunded: eur(5800) });
    expect(await tags()).toEqual([]);
  });

  it('closes an old link to a file that its product has no more, once that was taken back', async () => {
    const links = (await t.http.get(thanks).expect(200)).text.match(/\/download\/[\w-]+/g) ?? [];
    const states = async () =>
      (await Promise.all(links.map(async (path) => String((await t.http.get(path)).status)))).toSorted();
    const files = await t.dataSource.query(`select file_ids from product where key = 'checklist'`);
    await t.dataSource.query(`update product set file_ids = '[]' where key = 'checklist'`);
    expect(await states()).toEqual(['200', '200']);
    await refund({ lines: [{ lineId: lineOf('checklist') }] }).expect(200);
    expect(await states()).toEqual(['200', '410']);
    await t.dataSource.query(`update product set file_ids = $1 where key = 'checklist'`, [
      JSON.stringify(files[0].file_ids),
    ]);
  });

  it.each([
    [{ amount: eur(5801) }, 409, 'At most 58.00 EUR'],
    [{ amount: { amountMinor: 10, currency: 'USD' } }, 422, 'amount: the order was paid in EUR'],
    [{ amount: eur(0) }, 422, 'amount'],
    [{ amount: eur(1.5) }, 422, 'amount'],
    [{ lines: [] }, 422, 'lines'],
    [{ lines: [{ lineId: '999999' }] }, 404, 'no line 999999'],
    [{ lines: [{ lineId: '1' }, { lineId: '1' }] }, 422, 'lines'],
    [{ amount: eur(1), lines: [{ lineId: '1' }] }, 422, 'not both'],
  ])('cannot be %j', async (body, status, said) => {
    const { body: problem } = await refund(body).expect(status);
    expect(JSON.stringify(problem)).toContain(said);
    expect(await shown()).toMatchObject({ refunded: eur(0), refunds: [] });
  });

  it('is never more than was paid, whoever refunds at the same moment', async () => {
    const holding = await gate(t.dataSource, 'select 1 from orders where id = $1 for update', [order.id]);
    const told = ['a', 'b', 'c'].map(async (key) => refund({ amount: eur(2000) }, `${key}-${count}`));
    await untilWaiting(t.dataSource, 3, ...told);
    await holding.open();
    expect((await Promise.all(told)).map(({ status }) => String(status)).toSorted()).toEqual([
      '200',
      '200',
      '409',
    ]);
    const { refunded, refunds, lines } = await shown();
    expect([refunded.amountMinor, refunds.length]).toEqual([4000, 2]);
    expect(lines.reduce((sum, line) => sum + line.refunded.amountMinor, 0)).toBe(4000);
  });

  it('loses what the owner wrote about the buyer when they are erased', async () => {
    await refund({ amount: eur(100), reason: 'Bo was ill' }).expect(200);
    const data = await api('get', `subscribers/${order.subscriberId}/export`);
    expect(JSON.stringify(data.body)).toContain('Bo was ill');
    await api('delete', `subscribers/${order.subscriberId}`).expect(204);
    expect(await shown()).toMatchObject({
      refunded: eur(100),
      refunds: [{ amount: eur(100), reason: null }],
    });
  });

  it('is recorded on the owner’s page, once for each page that was opened', async () => {
    const get = async (path: string): Promise<string> =>
      (await t.http.get(path).set('Cookie', cookie).expect(200)).text;
    const page = `/admin/orders/${order.id}`;
    const send = (form: Record<string, string>) =>
      t.http
        .post(`${page}/refund`)
        .set('Cookie', cookie)
        .type('form')
        .send({ seen: '0', ...form });
    expect((await t.http.get(page).expect(303)).headers['location']).toMatch(/^\/admin\/login/);
    expect(await get(`/admin/orders?q=${email.slice(0, 8)}`)).toContain(order.number);
    expect(await get('/admin/orders?q=nobody')).toContain('No order like that');
    expect(await get(page)).toContain('All that is left, €58.00');
    expect((await send({ kind: 'amount', amount: '58.01' }).expect(422)).text).toContain('id="amount-error"');
    expect((await send({}).expect(422)).text).toContain('id="kind-error"');
    await send({ kind: 'amount', amount: '5', reason: '<late>' }).expect(303);
    expect((await send({ kind: 'amount', amount: '5' }).expect(409)).text).toContain('since you opened');
    expect((await shown()).refunded).toEqual(eur(500));
    expect(await get(page)).toContain('&lt;late&gt;');
    await send({ seen: '500', kind: 'lines', [`line.${lineOf('checklist')}`]: 'yes' }).expect(303);
    expect(await get(page)).toContain('the buyer’s no more since');
    const { refunded } = await shown();
    await send({ seen: String(refunded.amountMinor), kind: 'rest' }).expect(303);
    expect(await get(page)).not.toContain('Record the refund');
    expect(await shown()).toMatchObject({ status: 'refunded', refunded: eur(5800) });
    await t.http.get('/admin/orders/abc').set('Cookie', cookie).expect(404);
  });
});

describe('members', () => {
  it('are taken away as a table that no spreadsheet executes, all or those of a search', async () => {
    await t.dataSource.query(`update subscriber set name = '=cmd()' where id = $1`, [order.subscriberId]);
    const { text, headers } = await api(
      'get',
      'memberships/export.csv?product=checklist&state=active',
    ).expect(200);
    const row = `"${email}","'=cmd()","checklist","The 30-Day Launch Checklist","active","2026-01-05T09:00:00.000Z","2027-01-05T09:00:00.000Z"`;
    expect(text.split('\r\n').slice(0, 2)).toEqual([
      '\ufeff"email","name","product","product name","state","began","ends"',
      row,
    ]);
    expect(headers['content-type']).toContain('text/csv');
    expect(
      (await api('get', 'memberships/export.csv?product=none').expect(200)).text.trim().split('\r\n'),
    ).toHaveLength(1);
    await api('get', 'memberships/export.csv?limit=1').expect(422);
    const page = await t.http.get(`/admin/memberships?q=${email}`).set('Cookie', cookie).expect(200);
    const [, path = ''] = /href="(\/admin\/memberships\/members\.csv[^"]*)"/.exec(page.text) ?? [];
    const own = await t.http.get(path.replaceAll('&amp;', '&')).set('Cookie', cookie).expect(200);
    expect(own.text.split('\r\n').slice(1)).toEqual([row, '']);
    expect((await t.http.get(path).expect(303)).headers['location']).toMatch(/^\/admin\/login/);
  });
});

describe('a product whose key another funnel takes over', () => {
  const other = (key: string) => `funnel: other
title: Other
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: other, headline: Come in, consent: Send it to me, optIn: single }
sequence: { steps: [{ key: hello, email: emails/welcome }] }
products: [{ key: ${key}, name: Another, price: 5.00 EUR, membership: { lasts: 1 month } }]
offers: [{ key: another, product: ${key} }]
`;
  const apply = async (yaml: string) => t.app.get(FunnelsService).apply(yaml, null, 'other.yaml');
  const member = async (): Promise<string> => {
    const { body } = await api('get', `memberships?subscriberId=${order.subscriberId}`).expect(200);
    return (body.data as { productKey: string; endsAt: string }[])
      .map(({ productKey, endsAt }) => `${productKey} ${endsAt.slice(0, 10)}`)
      .join();
  };
  const buyOther = async (): Promise<void> => {
    const placed = await t.http
      .post('/checkout/another')
      .set('User-Agent', BROWSER)
      .type('form')
      .send({ email });
    await t.http.post(String(placed.headers['location'])).type('form').send({ outcome: 'paid' }).expect(303);
  };

  it('cannot be had while it is sold, and with its own key prolongs nobody’s membership', async () => {
    await expect(apply(other('checklist'))).rejects.toThrow(/checklist/);
    await apply(other('another'));
    await buyOther();
    expect(await member()).toBe('another 2026-02-05,checklist 2027-01-05');
  });

  it('is the same product for its members, which the lint says before', async () => {
    await t.dataSource.query(`update product set archived_at = now() where key = 'checklist'`);
    const lint = await t.app
      .get(FunnelLintService, { strict: false })
      .check(t.dataSource.manager, other('checklist'), null);
    expect(lint.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    const [said] = lint.findings.filter(({ rule }) => rule === 'product-taken-over');
    expect(said).toMatchObject({ severity: 'warning', line: 6 });
    expect(said?.message).toMatch(/sold by the funnel "niche-ebook": its buyers \(\d+\)/);
    await apply(other('checklist'));
    await buyOther();
    expect(await member()).toBe('checklist 2027-02-05');
    // It is its own now: there is nothing more to say.
    expect(
      (
        await t.app
          .get(FunnelLintService, { strict: false })
          .check(t.dataSource.manager, other('checklist'), null)
      ).findings,
    ).toEqual([]);
  });
});
