import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OrdersService } from '../../../src/orders/orders.service.js';
import { START, startTestApp, type TestApp } from '../../support/app.js';
import { gate, untilWaiting } from '../../support/database.js';
import { OWNER, ownerPages } from '../../support/owner-pages.js';
import { cookieOf, HEADERS, type Partner, type Partners, partnersOf } from './partners.js';
import { newReader } from '../../support/reader.js';

const DAY_MS = 86_400_000;

let t: TestApp;
let { api, make, click, figures, earned, brief, buy }: Partners = {} as Partners;
let count = 0;
/** A new affiliate for each test, recruited by another. */
let affiliate: Partner;
let recruiter: Partner;
beforeAll(async () => {
  t = await startTestApp();
  ({ api, make, click, figures, earned, brief, buy } = partnersOf(t));
});
afterAll(async () => t.close());
beforeEach(async () => {
  t.clock.set(START);
  count += 1;
  recruiter = await make({ code: `above-${count}`, email: `above${count}@example.com` });
  affiliate = await make({
    ...{ code: `ada-${count}`, email: `ada${count}@example.com`, recruiterId: recruiter.id },
  });
});

describe('affiliates', () => {
  it('have a code and a mailbox of their own, and stand in a tree', async () => {
    const refused = async (fields: object, code: string) => {
      const given = { code: 'other', name: 'O', email: 'o@example.com', ...fields };
      expect((await api('post', 'affiliates', given)).body).toMatchObject({ code });
    };
    await refused({ code: affiliate.code }, 'AFFILIATE_CODE_CONFLICT');
    await refused({ email: `Ada${count}+2@example.com` }, 'AFFILIATE_EMAIL_CONFLICT');
    await refused({ recruiterId: '999999' }, 'AFFILIATE_RECRUITER_INVALID');
    await refused({ code: 'self' }, 'REQUEST_INVALID');
    await refused({ name: 'A\r\nBcc: x' }, 'REQUEST_INVALID');
    const change = (id: string, body: object) => api('patch', `affiliates/${id}`, body);
    const round = await change(recruiter.id, { recruiterId: affiliate.id }).expect(422);
    expect(round.body).toMatchObject({
      code: 'AFFILIATE_RECRUITER_INVALID',
      errors: [{ field: 'recruiterId' }],
    });
    await change(affiliate.id, { recruiterId: affiliate.id }).expect(422);
    const both = await Promise.all([
      change(affiliate.id, { recruiterId: null }),
      change(recruiter.id, { recruiterId: affiliate.id }),
    ]);
    expect(both[0].status).toBe(200);
    expect((await change(affiliate.id, { recruiterId: recruiter.id })).status).toBe(
      both[1].status === 200 ? 422 : 200,
    );
    const key = { 'Idempotency-Key': `make-${count}` };
    const again = { code: `again-${count}`, name: 'A', email: `again${count}@example.com` };
    const first = await api('post', 'affiliates', again).set(key).expect(201);
    expect((await api('post', 'affiliates', again).set(key).expect(201)).body).toEqual(first.body);
    const { body } = await api('get', 'affiliates?limit=2').expect(200);
    expect([body.data.length, typeof body.nextCursor]).toEqual([2, 'string']);
  });

  it('have a link that leads to pages of ours and nowhere else', async () => {
    const to = async (query: string) =>
      (await t.http.get(`/a/${affiliate.code}${query}`)).headers['location'];
    expect(await to('?to=/p/niches')).toBe('/p/niches');
    expect(await to('?to=/offer/launch-kit')).toBe('/offer/launch-kit');
    expect((await click('%00')).headers).toMatchObject({ location: '/p/niches' });
    for (const query of [
      '',
      '?to=https://evil.example/',
      '?to=//evil.example',
      '?to=/admin',
      '?to=/p/none',
      '?to=/p/niches&to=/x',
    ])
      expect(await to(query)).toBe('/p/niches');
    expect((await click('nobody')).headers).toMatchObject({ location: '/p/niches' });
    expect((await click('nobody')).headers['set-cookie']).toBeUndefined();
    const { headers } = await click(affiliate.code.toUpperCase());
    expect(headers['set-cookie']?.[0]).toMatch(
      /^ws_referral=[\w-]+; Max-Age=5184000; Path=\/; HttpOnly; SameSite=Lax$/,
    );
  });

  it('get a click counted for a person who comes, and for nothing else', async () => {
    await click(affiliate.code);
    for (const headers of [
      { ...HEADERS, 'sec-fetch-dest': 'image' },
      { ...HEADERS, 'sec-fetch-dest': 'iframe' },
      { ...HEADERS, 'sec-purpose': 'prefetch' },
    ])
      expect((await click(affiliate.code, headers)).headers['set-cookie']).toBeUndefined();
    await t.http.head(`/a/${affiliate.code}`).set(HEADERS);
    expect(await figures(affiliate.id)).toMatchObject({ clicks: 1, signUps: 0, sales: 0, balances: [] });
    await api('patch', `affiliates/${affiliate.id}`, { state: 'paused' }).expect(200);
    expect((await click(affiliate.code)).headers['set-cookie']).toBeUndefined();
    expect(await figures(affiliate.id)).toMatchObject({ clicks: 1, state: 'paused' });
  });
});

describe('a commission', () => {
  it('follows from a purchase weeks after a sign-up, in two tiers, and is explained', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    const reader = await newReader(t, `reader${count}@example.com`, {}, cookie);
    expect(await figures(affiliate.id)).toMatchObject({ signUps: 1 });
    const counted = async (conditions: object) =>
      (await api('post', 'segments/count', { conditions })).body.count as number;
    expect(await counted({ affiliate: affiliate.code })).toBe(1);
    expect(await counted({ all: [{ affiliate: affiliate.code }, { not: { affiliate: 'any' } }] })).toBe(0);
    await api('post', 'segments/count', { conditions: { affiliate: 'none' } }).expect(422);
    t.clock.advance(59 * DAY_MS);
    const order = await buy(reader.email);
    expect(await brief(order)).toEqual([
      [recruiter.id, 2, 490, null],
      [affiliate.id, 1, 1470, null],
    ]);
    await t.app.get(OrdersService, { strict: false }).markPaid(order, 'test', 'again');
    expect(await earned(order)).toHaveLength(2);
    const [, first] = await earned(order);
    const { body } = await api('get', `commissions/${first?.id}`).expect(200);
    expect(body).toMatchObject({
      state: 'pending',
      rateBps: 3000,
      base: { amountMinor: 4900 },
      sale: [{}, {}],
    });
    expect(body.explanation.join(' ')).toMatch(
      /subscriber who came by the link at 2026-01-05.*30% of the 49.00 EUR paid is 14.70 EUR.*held until 2026-04-04/,
    );
    t.clock.advance(DAY_MS);
    expect(await brief(await buy(reader.email))).toEqual([]);
  });

  it('is none for a purchase of the affiliate, and of the recruiter none in the second tier', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    for (const email of [affiliate.email, affiliate.email.toUpperCase(), `ada${count}+me@example.com`]) {
      const order = await buy(email, cookie);
      expect(await brief(order)).toEqual([[affiliate.id, 1, 0, 'self_referral']]);
      const [{ id } = { id: '' }] = await earned(order);
      const { body } = await api('get', `commissions/${id}`).expect(200);
      expect(body.explanation.join(' ')).toContain('bought here themselves');
    }
    expect(await brief(await buy(recruiter.email, cookie))).toEqual([
      [recruiter.id, 2, 0, 'recruiter_is_buyer'],
      [affiliate.id, 1, 1470, null],
    ]);
    expect(await figures(affiliate.id)).toMatchObject({ sales: 1 });
  });
});

describe('money to affiliates', () => {
  const own = <Row extends { affiliateId: string }>(rows: Row[]): Row[] =>
    rows.filter(({ affiliateId }) => [affiliate.id, recruiter.id].includes(affiliateId));
  const run = async (amountMinor: number) => {
    const { body } = await api('post', 'payouts', { minimum: { amountMinor, currency: 'EUR' } }).expect(201);
    return own(body.data as { id: string; affiliateId: string; amount: { amountMinor: number } }[]);
  };
  const balance = async (id: string) => {
    const { pending, due, paidOut } = (await figures(id)).balances[0];
    return [pending.amountMinor, due.amountMinor, paidOut.amountMinor];
  };
  const refund = (order: string) => api('post', `orders/${order}/refund`, {});

  it('is due after the hold, is in one payout, and what is refunded later is taken off the next', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    const first = await buy(`b${count}@example.com`, cookie);
    const back = await buy(`c${count}@example.com`, cookie);
    await refund(back).expect(200);
    await refund(back).expect(200);
    expect(await balance(affiliate.id)).toEqual([1470, 0, 0]);
    expect((await earned(back)).map(({ state, clawedBack }) => [state, clawedBack.amountMinor])).toEqual([
      ['clawed_back', 490],
      ['clawed_back', 1470],
    ]);
    t.clock.advance(30 * DAY_MS - 1);
    expect(await run(1)).toEqual([]);
    t.clock.advance(1);
    expect(await balance(affiliate.id)).toEqual([0, 1470, 0]);
    const due = (await api('get', 'payouts/due?currency=EUR').expect(200)).body.data;
    expect(own(due as { affiliateId: string }[])).toMatchObject([
      { affiliateId: affiliate.id, amount: { amountMinor: 1470 } },
      { affiliateId: recruiter.id, amount: { amountMinor: 490 } },
    ]);
    const runs = await Promise.all([run(1000), run(1000), run(1000)]);
    const made = runs.flat();
    expect(made.map(({ affiliateId, amount }) => [affiliateId, amount.amountMinor])).toEqual([
      [affiliate.id, 1470],
    ]);
    // Nobody has paid it yet.
    expect(await balance(affiliate.id)).toEqual([0, 0, 0]);
    expect((await figures(affiliate.id)).balances[0].inPayout.amountMinor).toBe(1470);
    const id = made[0]?.id ?? '';
    const key = { 'Idempotency-Key': `paid-${count}` };
    const said = await api('post', `payouts/${id}/paid`).set(key).expect(200);
    expect(said.body).toMatchObject({ state: 'paid' });
    t.clock.advance(DAY_MS);
    const repeated = await api('post', `payouts/${id}/paid`).set(key).expect(200);
    expect([repeated.body, repeated.headers['idempotency-replayed']]).toEqual([said.body, 'true']);
    const again = await api('post', `payouts/${id}/paid`).expect(200);
    expect(again.body.paidAt).toBe(new Date(START.getTime() + 30 * DAY_MS).toISOString());
    expect(await balance(affiliate.id)).toEqual([0, 0, 1470]);

    await refund(first).expect(200);
    expect((await earned(first)).map(({ state }) => state)).toEqual(['clawed_back', 'clawed_back']);
    expect(await balance(affiliate.id)).toEqual([0, -1470, 1470]);
    expect(await balance(recruiter.id)).toEqual([0, 0, 0]);
    expect(await run(1)).toEqual([]);
    await buy(`d${count}@example.com`, cookie);
    await buy(`e${count}@example.com`, cookie);
    t.clock.advance(30 * DAY_MS);
    expect(await balance(affiliate.id)).toEqual([0, 1470, 1470]);
    expect(await run(1)).toMatchObject([
      { affiliateId: affiliate.id, amount: { amountMinor: 1470 } },
      { affiliateId: recruiter.id, amount: { amountMinor: 980 } },
    ]);
    const csv = await api('get', 'payouts/export.csv?state=paid').expect(200);
    expect(csv.text).toContain(
      `"${id}","${affiliate.code}","'=1+1","${affiliate.email}","14.70","EUR","paid"`,
    );
    await api('post', 'payouts', { minimum: { amountMinor: 0, currency: 'eur' } }).expect(422);
    await api('post', 'payouts/999999/paid').expect(404);
  });

  it('goes back with a part of what was paid, once, and after it was paid out with what comes next', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    const order = await buy(`h${count}@example.com`, cookie);
    const back = async (amountMinor: number, key: string): Promise<number[]> => {
      const amount = { amountMinor, currency: 'EUR' };
      const told = api('post', `orders/${order}/refund`, { amount }).set(
        'Idempotency-Key',
        `${key}-${count}`,
      );
      await told.expect(200);
      return (await earned(order)).map(({ clawedBack }) => clawedBack.amountMinor);
    };
    expect(await back(1000, 'first')).toEqual([100, 300]);
    expect(await back(1000, 'first')).toEqual([100, 300]);
    expect(await balance(affiliate.id)).toEqual([1170, 0, 0]);
    t.clock.advance(30 * DAY_MS);
    const [paid] = await run(1000);
    await api('post', `payouts/${paid?.id}/paid`).expect(200);
    expect(await balance(affiliate.id)).toEqual([0, 0, 1170]);
    expect(await back(1, 'second')).toEqual([101, 301]);
    expect((await earned(order)).map(({ state }) => state)).toEqual(['due', 'paid']);
    expect(await balance(affiliate.id)).toEqual([0, -1, 1170]);
    await buy(`next${count}@example.com`, cookie);
    t.clock.advance(30 * DAY_MS);
    expect(await run(1000)).toMatchObject([{ amount: { amountMinor: 1469 } }]);
    await api('post', `orders/${order}/refund`, {}).expect(200);
    expect((await earned(order)).map(({ clawedBack }) => clawedBack.amountMinor)).toEqual([490, 1470]);
  });

  it('is not lost to a change that brings somebody back who is erased at the same moment', async () => {
    const erasing = await gate(
      t.dataSource,
      `update affiliate set name = null, email = null, email_key = null, mailbox = null, state = 'paused', erased = true where id = $1`,
      [affiliate.id],
    );
    const changing = Promise.resolve(api('patch', `affiliates/${affiliate.id}`, { name: 'Back' }));
    await untilWaiting(t.dataSource, 1, changing);
    await erasing.open();
    expect((await changing).body).toMatchObject({ code: 'AFFILIATE_ERASED' });
    expect(await figures(affiliate.id)).toMatchObject({ name: null, isErased: true });
  });

  it('is due again when a payout that was made by mistake is cancelled, and shows what it consists of', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    const kept = await buy(`h${count}@example.com`, cookie);
    const back = await buy(`i${count}@example.com`, cookie);
    t.clock.advance(30 * DAY_MS);
    await refund(back).expect(200);
    const [mistake] = await run(1000);
    const path = `payouts/${mistake?.id}`;
    const [taken] = (await earned(back)).filter(({ affiliateId }) => affiliateId === affiliate.id);
    expect((await api('get', path).expect(200)).body).toMatchObject({
      amount: { amountMinor: 1470 },
      clawbacks: [{ commissionId: taken?.id, amount: { amountMinor: 1470, currency: 'EUR' } }],
    });
    const inIt = (await api('get', `commissions?payoutId=${mistake?.id}`).expect(200)).body.data;
    expect(inIt).toMatchObject([{ orderId: back }, { orderId: kept }]);
    const cancels = await Promise.all([1, 2].map(async () => api('post', `${path}/cancel`)));
    expect(cancels.map(({ body }) => body.state)).toEqual(['cancelled', 'cancelled']);
    expect(await balance(affiliate.id)).toEqual([0, 1470, 0]);
    expect((await api('post', `${path}/paid`).expect(409)).body).toMatchObject({
      code: 'PAYOUT_CANCELLED_CONFLICT',
    });
    const [again] = await run(1000);
    expect(again).toMatchObject({ amount: { amountMinor: 1470 } });
    await api('post', `payouts/${again?.id}/paid`).expect(200);
    expect((await api('post', `payouts/${again?.id}/cancel`).expect(409)).body).toMatchObject({
      code: 'PAYOUT_PAID_CONFLICT',
    });
    await api('post', 'payouts/999999/cancel').expect(404);
  });

  it('is still paid to an affiliate who has asked to be forgotten as a reader, and then forgets them', async () => {
    const reader = await newReader(t, affiliate.email);
    const buyer = `owing${count}@example.com`;
    await buy(buyer, cookieOf(await click(affiliate.code)));
    await api('delete', `subscribers/${reader.id}`).expect(204);
    const waiting = { name: '=1+1', email: affiliate.email, state: 'paused', isForgottenWhenPaid: true };
    expect(await figures(affiliate.id)).toMatchObject(waiting);
    t.clock.advance(30 * DAY_MS);
    const [payout] = await run(1000);
    expect(await figures(affiliate.id)).toMatchObject(waiting);
    await api('post', `payouts/${payout?.id}/paid`).expect(200);
    expect(await figures(affiliate.id)).toMatchObject({
      ...{ name: null, email: null, isErased: true, isForgottenWhenPaid: false },
    });
    // The recruiter is due 4.90 and erased by the owner: that is paid to nobody.
    await api('delete', `affiliates/${recruiter.id}`).expect(204);
    expect(await run(1)).toEqual([]);
    const { body } = await api('get', 'payouts/due').expect(200);
    expect(own(body.data as { affiliateId: string }[])).toMatchObject([
      { affiliateId: recruiter.id, isErased: true },
    ]);
  });

  it('stays in the books when the affiliate is erased', async () => {
    const cookie = cookieOf(await click(affiliate.code));
    const order = await buy(`f${count}@example.com`, cookie);
    await api('delete', `affiliates/${affiliate.id}`).expect(204);
    expect(await figures(affiliate.id)).toMatchObject({ name: null, email: null, isErased: true, sales: 1 });
    expect(await brief(order)).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
    expect(await brief(await buy(`g${count}@example.com`, cookie))).toEqual([
      [affiliate.id, 1, 0, 'affiliate_paused'],
    ]);
    await api('patch', `affiliates/${affiliate.id}`, { name: 'Back' }).expect(400);
    expect((await api('get', 'payouts/export.csv').expect(200)).text).not.toContain(affiliate.email);
  });
});

describe('the pages of the owner', () => {
  let session = '';
  const page = async (path: string, status = 200): Promise<string> =>
    (await t.http.get(`/admin/${path}`).set('Cookie', session).expect(status)).text;
  const send = (path: string, form: object) =>
    t.http.post(`/admin/${path}`).set('Cookie', session).type('form').send(form);

  it('make, change and erase affiliates, show what they brought, and pay them', async () => {
    expect((await t.http.get('/admin/affiliates')).headers['location']).toMatch(/^\/admin\/(setup|login)/);
    ({ cookie: session } = await ownerPages(t));
    const typed = { name: 'Grace <b>', email: 'grace@example.com', code: 'Grace-Blog', recruiter: 'nobody' };
    const refused = await send('affiliates', typed).expect(422);
    expect(refused.text).toContain('href="#recruiter">Recruiter: no affiliate has the code');
    expect(refused.text).toContain('value="Grace &lt;b&gt;"');
    const empty = await send('affiliates', {}).expect(422);
    for (const field of ['name', 'email', 'code']) expect(empty.text).toContain(`href="#${field}"`);
    const made = await send('affiliates', { ...typed, recruiter: affiliate.code }).expect(303);
    const path = String(made.headers['location']).replace('/admin/', '');
    await buy(`page${count}@example.com`, cookieOf(await click('grace-blog')));
    const one = await page(path);
    for (const text of [
      'Grace &lt;b&gt;',
      '/a/grace-blog',
      '€14.70',
      'held',
      '30% of the 49.00 EUR paid is 14.70 EUR',
    ])
      expect(one).toContain(text);
    expect(await page('affiliates')).toContain('/a/grace-blog');
    const [buyer] = (await t.dataSource.query('select max(subscriber_id) as id from referral')) as [
      { id: string },
    ];
    expect(await page(`subscribers/${buyer.id}`)).toContain('>grace-blog</a>');
    t.clock.advance(31 * DAY_MS);
    session = cookieOf(await t.http.post('/admin/login').type('form').send(OWNER).expect(303));
    expect(await page('payouts')).toContain('Grace');
    expect((await send('payouts', { minimum: 'much' }).expect(422)).text).toContain('id="minimum-error"');
    await send('payouts', { minimum: '10 EUR' }).expect(303);
    const [, mistake] = /payouts\/(\d+)\/cancel/.exec(await page('payouts')) ?? [];
    await send(`payouts/${mistake}/cancel`, {}).expect(303);
    expect(await page('payouts')).toContain('>cancelled<');
    await send('payouts', { minimum: '10 EUR' }).expect(303);
    const [, payout] = /payouts\/(\d+)\/paid/.exec(await page('payouts')) ?? [];
    await send(`payouts/${payout}/paid`, {}).expect(303);
    expect(await page(path)).toContain('badge-good">paid');
    expect(await page('payouts/payouts.csv')).toContain('"Grace <b>"');
    expect(await page(`${path}/edit`)).toContain(`value="${affiliate.code}"`);
    await send(path, { name: 'Grace', email: 'grace@example.com', paused: 'yes' }).expect(303);
    expect(await page(path)).toContain('paused');
    await send(`${path}/erase`, {}).expect(303);
    expect(await page(path)).not.toContain('grace@example.com');
    await page('affiliates/abc', 404);
    await t.http
      .post(`/admin/${path}/erase`)
      .set({ Cookie: session, Origin: 'https://evil.example' })
      .expect(403);
  });
});
