import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeptSignups } from '../../../src/signup/kept-signups.service.js';
import type { TestApp } from '../../support/app.js';
import { type FrontedApp, startFrontedApp } from '../../support/fronted-app.js';
import { HEADERS, partnersOf } from '../affiliates/partners.js';

const OWN = 'http://localhost:3000';

let fronted: FrontedApp;
let t: TestApp;
let count = 0;
let reader: string;
let partner: { id: string; code: string };
let browser: Record<string, string>;
beforeAll(async () => {
  fronted = await startFrontedApp();
  ({ t } = fronted);
  await t.http.get('/p/niches').expect(200);
});
afterAll(async () => fronted.close());
beforeEach(async () => {
  reader = `came${++count}@example.com`;
  browser = { ...HEADERS, 'user-agent': `Mozilla/5.0 (X11; Linux x86_64; rv:${count}.0) Gecko/20100101` };
  partner = await partnersOf(t).make({ code: `ada-${count}`, email: `ada${count}@example.net` });
});

const away = async (work: () => Promise<unknown>): Promise<void> => {
  await fronted.front.close();
  try {
    await work();
  } finally {
    await fronted.front.open();
  }
  await t.app.get(KeptSignups, { strict: false }).takeUp();
};
/** As a browser sends the form that stands at `from`. */
const signUp = (from: string) =>
  t.http
    .post('/p/niches')
    .set({ ...browser, referer: `${OWN}${from}` })
    .type('form')
    .send({ email: reader })
    .expect(200);
const visits = async (): Promise<unknown[]> =>
  t.dataSource.query('select referrer, utm from visit where user_agent = $1', [browser['user-agent']]);
const referredBy = async (): Promise<unknown[]> => {
  const rows: { id: string }[] = await t.dataSource.query(
    `select r.affiliate_id as id from signup_referral r join signup g on g.id = r.signup_id
     join subscriber s on s.id = g.subscriber_id where s.email_key = $1`,
    [reader],
  );
  return rows.map(({ id }) => id);
};

describe('who comes and signs up while the database is away', () => {
  it('has come by the page and the advertisement that led there: neither was written down', async () => {
    const page = '/p/niches?utm_source=news&utm_campaign=spring&x=1';
    await away(async () => {
      await t.http
        .get(page)
        .set({ ...browser, referer: 'https://blog.example.org/post?reader=7' })
        .expect(200);
      await signUp(page);
    });
    expect(await visits()).toEqual([
      { referrer: 'https://blog.example.org/post', utm: { source: 'news', campaign: 'spring' } },
    ]);
  });

  it('has come by the advertisement also where another process has shown the page', async () => {
    await away(async () => signUp('/p/niches?utm_source=news&utm_content='));
    expect(await visits()).toEqual([{ referrer: null, utm: { source: 'news' } }]);
  });

  it.each(['?to=/p/niches', ''])(
    'has come by the link of an affiliate (%s): it led to an error',
    async (to) => {
      await t.http.get('/a/nobody').expect(302);
      await away(async () => {
        const link = await t.http.get(`/a/${partner.code}${to}`).set(browser).redirects(0);
        expect([link.status, link.headers['location']]).toEqual([302, `/p/niches?a=${partner.code}`]);
        await t.http
          .get(link.headers['location'] as string)
          .set(browser)
          .expect(200);
        await signUp(link.headers['location'] as string);
      });
      expect(await referredBy()).toEqual([partner.id]);
    },
  );

  it('has come by the link of an affiliate also when it is back before the form is sent', async () => {
    await signUp(`/p/niches?a=${partner.code}`);
    expect(await referredBy()).toEqual([partner.id]);
  });

  it('has come by the link of an affiliate also where the address was mistyped at first: the page that says so had forgotten it', async () => {
    const from = `/p/niches?a=${partner.code}`;
    await away(async () => {
      const send = (fields: object, page: string) =>
        t.http
          .post('/p/niches')
          .set({ ...browser, referer: `${OWN}${page}` })
          .type('form')
          .send(fields);
      let answer = await send({ email: 'ada@' }, from);
      expect(answer.status).toBe(422);
      const marks = (): object =>
        Object.fromEntries(
          [...answer.text.matchAll(/<input type="hidden" name="(affiliate)" value="([^"]*)"/g)].map(
            ([, name, value]) => [name, value],
          ),
        );
      // The page stands at the address that the form was sent to.
      answer = await send({ ...marks(), email: 'ada@example' }, '/p/niches');
      expect(answer.status).toBe(422);
      expect((await send({ ...marks(), email: reader }, '/p/niches')).status).toBe(200);
    });
    expect(await referredBy()).toEqual([partner.id]);
  });

  it('has come by the affiliate whose link was clicked before', async () => {
    const [cookie = ''] = (await t.http.get(`/a/${partner.code}`).set(browser).redirects(0)).headers[
      'set-cookie'
    ] as unknown as string[];
    await away(async () => signUp('/p/niches').set('cookie', cookie.split(';')[0] ?? ''));
    expect(await referredBy()).toEqual([partner.id]);
  });

  it('is brought by nobody where a picture names the link of an affiliate', async () => {
    await t.http.get('/a/nobody').expect(302);
    await away(async () => {
      const picture = { ...browser, 'sec-fetch-dest': 'image' };
      const link = await t.http.get(`/a/${partner.code}`).set(picture).redirects(0);
      expect([link.status, link.headers['location']]).toEqual([302, '/p/niches']);
    });
  });
});
