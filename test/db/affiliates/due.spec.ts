import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { cookieOf, partnersOf, type Partners } from './partners.js';

let t: TestApp;
let { api, make, click, buy }: Partners = {} as Partners;
beforeAll(async () => {
  t = await startTestApp();
  ({ api, make, click, buy } = partnersOf(t));
});
afterAll(async () => t.close());

interface Due {
  affiliateCode: string;
  amount: { currency: string };
}

it('what is due to affiliates is answered page by page, and who becomes due meanwhile moves nothing', async () => {
  const sell = async (code: string): Promise<void> => {
    await make({ code, email: `${code}@example.com` });
    const cookie = cookieOf(await click(code));
    for (const n of [1, 2]) await buy(`${code}-${n}@example.net`, cookie);
  };
  for (const code of ['ada', 'ben', 'cleo']) await sell(code);
  // Of each the second sale was in another currency.
  await t.dataSource.query(
    `update commission c set currency = 'USD' where exists (
       select 1 from commission d where d.affiliate_id = c.affiliate_id and d.id < c.id)`,
  );
  t.clock.advance(40 * 86_400_000);
  const page = async (query: string): Promise<{ data: Due[]; nextCursor: string | null }> =>
    (await api('get', `payouts/due?${query}`).expect(200)).body;
  const named = (data: readonly Due[]): string[] =>
    data.map(({ affiliateCode, amount }) => `${affiliateCode} ${amount.currency}`);
  const first = await page('limit=3');
  expect(named(first.data)).toEqual(['cleo USD', 'cleo EUR', 'ben USD']);
  await sell('dora');
  t.clock.advance(40 * 86_400_000);
  const second = await page(`limit=3&cursor=${first.nextCursor}`);
  expect([named(second.data), second.nextCursor]).toEqual([['ben EUR', 'ada USD', 'ada EUR'], null]);
  expect(named((await page('currency=EUR&limit=1')).data)).toEqual(['dora EUR']);
  const odd = Buffer.from('9999999999999999999 EUR').toString('base64url');
  for (const cursor of ['x', odd, Buffer.from('1').toString('base64url')])
    await api('get', `payouts/due?cursor=${cursor}`).expect(422);
});
