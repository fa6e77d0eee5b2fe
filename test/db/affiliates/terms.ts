import { expect } from 'vitest';
import { API_KEY, type TestApp } from '../../support/app.js';
import { cookieOf, partnersOf } from './partners.js';

/** `code` is that of an affiliate. The file before, and once rolled back. */
export async function termsFollowTheFile(t: TestApp, code: string): Promise<[string, string]> {
  const { api, brief, buy, click } = partnersOf(t);
  const path = 'funnels/niche-ebook';
  const terms = async () =>
    t.dataSource.query(
      'select commission_bps as first, second_tier_bps as second, hold, cookie, attribution as pays from affiliate_terms',
    );
  const demo = [{ first: 3000, second: 1000, hold: '30 days', cookie: '60 days', pays: 'last' }];
  expect(await terms()).toEqual(demo);
  const file = (await api('get', `${path}/export?templates=false`).expect(200)).text;
  const put = async (yaml: string, more = {}) =>
    (
      await t.http
        .put(`/api/v1/${path}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ yaml, ...more })
        .expect(200)
    ).body;
  const higher = file
    .replace('commission: 30%', 'commission: 45%')
    .replace('hold: 30 days', 'hold: 2 months')
    .replace('cookie: 60 days', 'cookie: 60 days\n  attribution: first');
  expect((await put(higher, { dryRun: true })).words).toEqual([
    '~ affiliates: commission 30% → 45%',
    '~ affiliates: hold 30 days → 2 months',
    '~ affiliates: attribution (none) → first',
  ]);
  expect(await terms()).toEqual(demo);
  await put(higher);
  expect(await terms()).toEqual([
    { first: 4500, second: 1000, hold: '2 months', cookie: '60 days', pays: 'first' },
  ]);
  const without = file.slice(0, file.indexOf('affiliates:'));
  expect((await put(without)).words).toEqual(['- affiliates']);
  expect(await terms()).toEqual([]);
  expect((await api('get', `${path}/export?templates=false`).expect(200)).text).toBe(without);
  expect(await brief(await buy(`none-${code}@example.com`, cookieOf(await click(code))))).toEqual([]);
  await api('post', `${path}/rollback`, { to: 1 }).expect(200);
  expect(await terms()).toEqual(demo);
  return [file, (await api('get', `${path}/export?templates=false`).expect(200)).text];
}
