import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { linkIn, START, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
import { cookieOf, type Door, doorOf, HEADERS, type Partner, type Partners, partnersOf } from './partners.js';
import { termsFollowTheFile } from './terms.js';

const DAY_MS = 86_400_000;

let t: TestApp;
let { api, make, click, figures, brief, buy, place, paid }: Partners = {} as Partners;
let count = 0;
/** A new affiliate for each test, recruited by another. */
let affiliate: Partner;
beforeAll(async () => {
  t = await startTestApp();
  ({ api, make, click, figures, brief, buy, place, paid } = partnersOf(t));
});
afterAll(async () => t.close());
beforeEach(async () => {
  t.clock.set(START);
  count += 1;
  const { id: recruiterId } = await make({ code: `above-${count}`, email: `above${count}@example.com` });
  affiliate = await make({ code: `ada-${count}`, email: `ada${count}@example.com`, recruiterId });
});

describe('a sale', () => {
  it('goes to the last click before the checkout', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    const reader = await newReader(
      t,
      `reader${count}@example.com`,
      {},
      cookieOf(await click(affiliate.code)),
    );
    t.clock.advance(DAY_MS);
    const cookie = cookieOf(await click(other.code));
    expect(await brief(await buy(reader.email, cookie))).toEqual([[other.id, 1, 1470, null]]);
    expect(await brief(await buy(reader.email))).toEqual([[other.id, 1, 1470, null]]);
    expect(await brief(await buy(`x${count}@example.com`, cookie.replace('=', '=A')))).toEqual([]);
  });

  it('goes to the last click before the checkout that is paid, not lost to one between two of the same order', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    const email = `between${count}@example.com`;
    const first = cookieOf(await click(affiliate.code));
    const pay = await place(email, first);
    t.clock.advance(600_000);
    const later = cookieOf(await click(other.code));
    t.clock.advance(120_000);
    expect(await place(email, later)).toBe(pay);
    expect(await brief(await paid(pay))).toEqual([[other.id, 1, 1470, null]]);

    // A sign-up by the other's link after the checkout is none before it.
    const reader = await newReader(t, `known${count}@example.com`, {}, cookieOf(await click(affiliate.code)));
    t.clock.advance(1000);
    const open = await place(reader.email);
    t.clock.advance(1000);
    await t.dataSource.query(
      `update referral set affiliate_id = $1, touched_at = $2 where subscriber_id = $3`,
      [other.id, t.clock.now(), reader.id],
    );
    expect(await brief(await paid(open))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
  });

  it('is not moved by whoever types the addresses of others into a form', async () => {
    const thief = await make({ code: `thief-${count}`, email: `thief${count}@example.com` });
    const reader = await newReader(
      t,
      `reader${count}@example.com`,
      {},
      cookieOf(await click(affiliate.code)),
    );
    t.clock.advance(DAY_MS);
    const cookie = cookieOf(await click(thief.code));
    await t.http
      .post('/p/niches')
      .set('Cookie', cookie)
      .type('form')
      .send({ email: reader.email })
      .expect(200);
    await t.http
      .post('/p/niches')
      .set('Cookie', cookie)
      .type('form')
      .send({ email: `never${count}@example.com` });
    expect(await figures(thief.id)).toMatchObject({ clicks: 1, signUps: 0 });
    expect(await brief(await buy(reader.email))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
  });

  it('is not moved by somebody else who types the address while its confirmation waits', async () => {
    const thief = await make({ code: `thief-${count}`, email: `thief${count}@example.com` });
    const email = `waiting${count}@example.com`;
    const signUp = async (code: string, agent: string) =>
      t.http
        .post('/p/niches')
        .set({ Cookie: cookieOf(await click(code)), 'User-Agent': agent })
        .type('form')
        .send({ email })
        .expect(200);
    await signUp(affiliate.code, 'Reader');
    t.clock.advance(1000);
    await signUp(thief.code, 'Thief');
    await t.runDue();
    const [confirmation] = await t.mailsTo(email);
    await t.http.post(linkIn(confirmation as TestMail, /\/confirm\//)).expect(200);
    expect([(await figures(affiliate.id)).signUps, (await figures(thief.id)).signUps]).toEqual([1, 0]);
  });

  it('is not moved by a form without a confirmation, nor by an order that costs nothing', async () => {
    const thief = await make({ code: `thief-${count}`, email: `thief${count}@example.com` });
    const [known, robbed] = [`known${count}@example.com`, `robbed${count}@example.com`];
    const reader = await newReader(t, known);
    await newReader(t, robbed, {}, cookieOf(await click(affiliate.code)));
    t.clock.advance(1000);
    await t.dataSource.query(`update form set opt_in = 'single'`);
    const cookie = cookieOf(await click(thief.code));
    const signUp = async (email: string) =>
      t.http.post('/p/niches').set('Cookie', cookie).type('form').send({ email }).expect(200);
    await t.dataSource.query(`delete from signup where subscriber_id = $1`, [reader.id]);
    await signUp(known);
    expect(await figures(thief.id)).toMatchObject({ signUps: 0 });
    await signUp(`fresh${count}@example.com`);
    expect(await figures(thief.id)).toMatchObject({ signUps: 1 });
    await t.dataSource.query(`update form set opt_in = 'double'`);

    for (const email of [known, robbed, `free${count}@example.com`]) {
      const open = await place(email, cookie);
      const order = await t.dataSource.query('select max(id) as id from orders');
      await t.dataSource.query('update orders set amount_minor = 0 where id = $1', [order[0].id]);
      await t.dataSource.query('update order_line set amount_minor = 0 where order_id = $1', [order[0].id]);
      await paid(open);
    }
    const kept = await t.dataSource.query(
      `select s.email from referral r join subscriber s on s.id = r.subscriber_id where r.affiliate_id = $1 order by 1`,
      [thief.id],
    );
    expect(kept).toEqual([{ email: `free${count}@example.com` }, { email: `fresh${count}@example.com` }]);
  });

  it('follows from a form on another site whose address names the affiliate', async () => {
    const script = await t.http.get('/f/niches.js').expect(200);
    expect(script.text).toContain(`.get('a')`);
    const email = `embedded${count}@example.com`;
    await t.http
      .post('/api/public/forms/niches')
      .send({ email: `odd${count}@example.com`, affiliate: '\0' })
      .expect(202);
    const form = { email, affiliate: affiliate.code };
    await t.http.post('/api/public/forms/niches').send(form).expect(202);
    await newReader(t, email);
    expect(await brief(await buy(email))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
  });
});

describe('a sale of a funnel that pays the first click', () => {
  beforeAll(async () =>
    t.dataSource.query(`update affiliate_terms set attribution = 'first', cookie = '10 days'`),
  );
  afterAll(async () =>
    t.dataSource.query(`update affiliate_terms set attribution = 'last', cookie = '60 days'`),
  );

  /** As a browser does: the cookie goes along to the next click. */
  const clicks = async (code: string, cookie = '') =>
    cookieOf(
      await t.http
        .get(`/a/${code}`)
        .set({ ...HEADERS, Cookie: cookie })
        .redirects(0),
    );

  it('goes to the first whose window is open, by the browser and by the subscriber, and says so', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    let cookie = await clicks(affiliate.code);
    t.clock.advance(6 * DAY_MS);
    cookie = await clicks(other.code, cookie);
    const order = await buy(`first${count}@example.com`, cookie);
    expect(await brief(order)).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
    const { body } = await api('get', `commissions?orderId=${order}`).expect(200);
    const { body: explained } = await api('get', `commissions/${body.data[1].id}`).expect(200);
    expect(explained.explanation.join(' ')).toContain('clicked first before the order');

    const reader = await newReader(t, `reader${count}@example.com`, {}, cookie);
    const counted = await api('post', 'segments/count').send({ conditions: { affiliate: other.code } });
    // The reader, and the buyer above: whom an order pays is not whom they came by last.
    expect(counted.body.count).toBe(2);
    expect(await brief(await buy(reader.email))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
    const { body: data } = await api('get', `subscribers/${reader.id}/export`).expect(200);
    const links = data.affiliateLinks.map((link: { affiliate: string }) => link.affiliate);
    expect(links).toEqual([other.code, affiliate.code]);
    // On the tenth day the first click counts no more.
    t.clock.advance(4 * DAY_MS);
    expect(await brief(await buy(reader.email))).toEqual([[other.id, 1, 1470, null]]);
    expect(await brief(await buy(`late${count}@example.com`, cookie))).toEqual([[other.id, 1, 1470, null]]);
  });

  /** Whose link the buyer of the order came by, as conditions and triggers have it, and what earns where the last click does. */
  const cameBy = async (order: string) => {
    const rows = await t.dataSource.query(
      `select r.affiliate_id as id from referral r join orders o on o.subscriber_id = r.subscriber_id where o.id = $1`,
      [order],
    );
    const [{ email }] = await t.dataSource.query('select email from orders where id = $1', [order]);
    await t.dataSource.query(`update affiliate_terms set attribution = 'last'`);
    const next = await brief(await buy(email));
    await t.dataSource.query(`update affiliate_terms set attribution = 'first'`);
    return [rows[0]?.id, next.at(-1)?.[0]];
  };

  it('leaves the buyer with the last click, which a funnel that pays the last looks for', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    let cookie = await clicks(affiliate.code);
    t.clock.advance(DAY_MS);
    cookie = await clicks(other.code, cookie);
    const order = await buy(`both${count}@example.com`, cookie);
    expect(await brief(order)).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
    expect(await cameBy(order)).toEqual([other.id, other.id]);

    // Placed twice, and with the later click only the second time.
    const email = `twice${count}@example.com`;
    const first = await clicks(affiliate.code);
    const pay = await place(email, first);
    t.clock.advance(60_000);
    expect(await place(email, await clicks(other.code, first))).toBe(pay);
    const again = await paid(pay);
    expect(await brief(again)).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
    expect(await cameBy(again)).toEqual([other.id, other.id]);
    const [{ touches, buyer }] = await t.dataSource.query(
      `select r.touches, o.subscriber_id as buyer from order_referral r join orders o on o.id = r.order_id where o.id = $1`,
      [again],
    );
    expect(touches).toHaveLength(2);
    await api('delete', `subscribers/${buyer}`).expect(204);
    const left = await t.dataSource.query(
      'select affiliate_id as id, touches from order_referral where order_id = $1',
      [again],
    );
    expect(left).toEqual([{ id: affiliate.id, touches: [] }]);
  });

  it('knows the first click of a sign-up whose last was on a link of somebody paused', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    const first = await clicks(affiliate.code);
    t.clock.advance(DAY_MS);
    const cookie = await clicks(other.code, first);
    await api('patch', `affiliates/${other.id}`, { state: 'paused' }).expect(200);
    const reader = await newReader(t, `paused${count}@example.com`, {}, cookie);
    expect(await brief(await buy(reader.email))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
  });

  it('stays with the first when the checkout is sent again after another click', async () => {
    const other = await make({ code: `other-${count}`, email: `other${count}@example.com` });
    const email = `again${count}@example.com`;
    const first = await clicks(affiliate.code);
    const pay = await place(email, first);
    t.clock.advance(60_000);
    expect(await place(email, await clicks(other.code, first))).toBe(pay);
    expect(await brief(await paid(pay))).toMatchObject([{}, [affiliate.id, 1, 1470, null]]);
  });
});

describe('the page of an affiliate', () => {
  let { links, ask, enter, page }: Door = {} as Door;
  beforeAll(() => {
    ({ links, ask, enter, page } = doorOf(t));
  });
  const signedIn = async (nth = 0): Promise<string> => {
    await ask(affiliate.email);
    const path = (await links(affiliate.email))[nth] ?? '';
    const { status, headers } = await enter(path);
    expect([status, headers['location']]).toEqual([303, '/partner']);
    return cookieOf({ headers });
  };

  it('is reached by a mailed link that works once, and nobody learns who has one', async () => {
    const answers = [await ask(affiliate.email), await ask(`nobody${count}@example.com`)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[0]?.text).toBe(answers[1]?.text);
    expect((await ask(affiliate.email.toUpperCase())).text).toBe(answers[0]?.text);
    expect(await links(`nobody${count}@example.com`)).toEqual([]);
    const [path = '', ...more] = await links(affiliate.email);
    expect(more).toEqual([]);
    for (let looks = 0; looks < 2; looks++) await t.http.get(path).expect(200);
    const both = await Promise.all([enter(path), enter(path)]);
    expect(both.map(({ status }) => String(status)).toSorted()).toEqual(['303', '410']);
    const [cookie = ''] = both.filter(({ status }) => status === 303).map(cookieOf);
    expect(await page(cookie)).toContain(`/a/${affiliate.code}`);
    await t.http.get(path).expect(410);
    await t.http.get(`${path.slice(0, -1)}A`).expect(410);
    const set = both.find(({ status }) => status === 303)?.headers['set-cookie'];
    expect(String(set)).toMatch(/Path=\/partner;.*HttpOnly; SameSite=Lax/);
    t.clock.advance(600_000);
    await ask(affiliate.email);
    const [, second = ''] = await links(affiliate.email);
    t.clock.advance(30 * 60_000);
    expect((await enter(second)).status).toBe(410);
    await t.http.post('/partner/logout').set('Cookie', cookie).expect(303);
    expect(await page(cookie)).toContain('Mail me the link');
  });

  it('shows what they brought and earned by state, and nothing of who bought', async () => {
    const recruit = await make({
      code: `recruit-${count}`,
      email: `recruit${count}@example.com`,
      recruiterId: affiliate.id,
    });
    const buyer = `secret${count}@example.com`;
    const order = await buy(buyer, cookieOf(await click(affiliate.code)));
    await buy(`hidden${count}@example.com`, cookieOf(await click(recruit.code)));
    await api('post', `orders/${order}/refund`, { amount: { amountMinor: 1000, currency: 'EUR' } })
      .set('Idempotency-Key', `partner-${count}`)
      .expect(200);
    const cookie = await signedIn();
    const cells = (html: string): string[] =>
      [
        ...html.matchAll(
          /<td data-label="(Held|Approved|Being paid|Paid|Taken back)"[^>]*>(?:<span[^>]*>)?([^<]+)/g,
        ),
      ]
        .slice(0, 5)
        .map(([, , amount = '']) => amount);
    const text = await page(cookie);
    expect(cells(text)).toEqual(['€16.60', '€0.00', '€0.00', '€0.00', '€3.00']);
    expect(text).toContain('by somebody you recruited');
    expect(text).toContain(recruit.code);
    expect(text).toContain(
      'A click counts for 60 days, and of clicks on several affiliates’ links the last;',
    );
    expect(text).toContain(`/a/${affiliate.code}?to=/offer/launch-kit`);
    const [{ number }] = await t.dataSource.query('select number from orders where id = $1', [order]);
    for (const hidden of [buyer, `hidden${count}`, number, recruit.email]) expect(text).not.toContain(hidden);
    t.clock.advance(7 * DAY_MS - 1);
    expect(await page(cookie)).toContain('Sign out');
    t.clock.advance(1);
    expect(await page(cookie)).toContain('Mail me the link');
    t.clock.advance(23 * DAY_MS);
    const later = await signedIn(1);
    expect(cells(await page(later))).toEqual(['€0.00', '€16.60', '€0.00', '€0.00', '€3.00']);
    const { body } = await api('post', 'payouts', { minimum: { amountMinor: 1, currency: 'EUR' } }).expect(
      201,
    );
    const own = (body.data as { id: string; affiliateId: string }[]).find(
      (one) => one.affiliateId === affiliate.id,
    );
    expect(cells(await page(later))).toEqual(['€0.00', '€0.00', '€16.60', '€0.00', '€3.00']);
    await api('post', `payouts/${own?.id}/paid`).expect(200);
    expect(cells(await page(later))).toEqual(['€0.00', '€0.00', '€0.00', '€16.60', '€3.00']);
  });

  it('is closed, and its mails forget the address, when the affiliate is erased', async () => {
    const cookie = await signedIn();
    await api('delete', `affiliates/${affiliate.id}`).expect(204);
    expect(await page(cookie)).toContain('Mail me the link');
    const left = await t.dataSource.query('select 1 from message where address = $1', [affiliate.email]);
    expect(left).toEqual([]);
    expect(await links(affiliate.email)).toHaveLength(1);
  });

  it('is closed to who reads the old mailbox when the affiliate has another address', async () => {
    const cookie = await signedIn();
    t.clock.advance(600_000);
    await ask(affiliate.email);
    const [, second = ''] = await links(affiliate.email);
    await api('patch', `affiliates/${affiliate.id}`, { name: 'Ada' }).expect(200);
    expect(await page(cookie)).toContain('Sign out');
    await api('patch', `affiliates/${affiliate.id}`, { email: `moved${count}@example.com` }).expect(200);
    expect(await page(cookie)).toContain('Mail me the link');
    expect((await enter(second)).status).toBe(410);
    await ask(`moved${count}@example.com`);
    expect(await links(`moved${count}@example.com`)).toHaveLength(1);
  });

  it('forgets links and sessions a month after they ended', async () => {
    const logins = async () =>
      t.dataSource.query('select used_at from affiliate_login where affiliate_id = $1', [affiliate.id]);
    await signedIn();
    t.clock.advance(36 * DAY_MS);
    await ask(affiliate.email);
    await links(affiliate.email);
    expect(await logins()).toHaveLength(2);
    t.clock.advance(DAY_MS);
    await ask(affiliate.email);
    await links(affiliate.email);
    expect(await logins()).toEqual([{ used_at: null }, { used_at: null }]);
  });

  it('is asked for so often from one place, and by an address', async () => {
    expect((await ask('nobody')).status).toBe(422);
    await ask(affiliate.email);
    await t.dataSource.query(`update rate_limit set points = 100 where key like 'partner-loopback:%'`);
    const { status, headers } = await ask(affiliate.email);
    expect([status, Number(headers['retry-after']) > 0]).toEqual([429, true]);
    await t.dataSource.query(`delete from rate_limit where key like 'partner-%'`);
  });
});

it('the terms are those of the funnel’s file: planned, applied, exported, rolled back', async () => {
  const [before, after] = await termsFollowTheFile(t, affiliate.code);
  expect(after).toBe(before);
});
