import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { newReader, type Reader } from '../../../support/reader.js';

let t: TestApp;
let cookie = '';
let reader: Reader;
beforeAll(async () => {
  t = await startTestApp();
  reader = await newReader(t, 'asked-about@example.com');
  ({ cookie } = await ownerPages(t));
});
afterAll(async () => t.close());

const get = (path: string) => t.http.get(`/admin/subscribers/${reader.id}${path}`).set('Cookie', cookie);

it('shows topics, the consent to be counted and the reason for leaving on the page of a subscriber', async () => {
  const page = await get('').expect(200);
  expect(page.text).toMatch(/Topics<\/dt>.*75 niches that pay/);
  expect(page.text).toMatch(/Opens and clicks<\/dt><dd>counted/);
  await t.dataSource.query(
    `insert into leave_reason (subscriber_id, reason, comment, at) values ($1, 'too_many', '<i>daily</i>', now())`,
    [reader.id],
  );
  await t.dataSource.query('update subscriber set tracking_consent = false where id = $1', [reader.id]);
  const later = await get('').expect(200);
  expect(later.text).toMatch(/too many: “&lt;i&gt;daily/);
  expect(later.text).toContain('not counted, as the person wishes');
});

it('leads from each mail and each step to the rules that decided', async () => {
  const page = await get('').expect(200);
  const links = [...page.text.matchAll(/href="\/admin\/subscribers\/\d+(\/why\?[^"]+)"/g)].map(
    ([, link = '']) => link.replaceAll('&amp;', '&'),
  );
  expect(links).toHaveLength(2 + 5);
  for (const link of links) expect((await get(link).expect(200)).text).toContain('decided');
  expect((await get('/why?funnel=niche-ebook&step=offer')).text).toContain('NOT_REACHED');
  // It was called “mail 17” there.
  const titles = await Promise.all(
    links.map(async (link) => /<h1>([^<]*)<\/h1>/.exec((await get(link)).text)?.[1]),
  );
  expect(titles).toEqual(
    expect.arrayContaining(['Why was step “offer” of “75 niches that pay” (not) sent?']),
  );
  expect(titles.filter((title = '') => title.startsWith('Why was “'))).toHaveLength(2);
});

it('shows nothing to strangers, and no page for a question it cannot read', async () => {
  await t.http.get(`/admin/subscribers/${reader.id}/why?message=1`).expect(303);
  const codes = [await get('/why'), await get('/why?message=x'), await get('/why?message=999999')];
  expect(codes.map(({ status }) => status)).toEqual([404, 404, 404]);
});
