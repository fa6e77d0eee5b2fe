import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService } from '../../../../src/funnels/demo.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { boxed, ownerPages, plain, tokenIn, type OwnerPages } from '../../../support/owner-pages.js';

const EDIT = '/admin/funnels/niche-ebook/edit';

let t: TestApp;
let cookie = '';
let get: OwnerPages['get'];
let post: OwnerPages['post'];
beforeAll(async () => {
  t = await startTestApp();
  ({ cookie, get, post } = await ownerPages(t));
});
afterAll(async () => t.close());

const version = async (key = 'niche-ebook'): Promise<number> => {
  const rows: { version: number }[] = await t.dataSource.query('select version from funnel where key = $1', [
    key,
  ]);
  return rows[0]?.version ?? 0;
};
const asBrowserSends = (text: string): string => text.replaceAll('\n', '\r\n');
const textNow = async (): Promise<string> => boxed(await get(EDIT));

describe('a funnel as text in the web app', () => {
  it('is for the owner, from their own page', async () => {
    for (const path of [EDIT, '/admin/new-funnel', '/admin/funnels/niche-ebook/history'])
      expect((await t.http.get(path).expect(303)).headers['location']).toMatch(/^\/admin\/login/);
    const yaml = (await textNow()).replace('75 niches that pay', 'Taken over');
    for (const path of [EDIT, '/admin/new-funnel/text', '/admin/funnels/niche-ebook/history/1'])
      await t.http.post(path).type('form').send({ yaml, action: 'plan' }).expect(303);
    const planned = await post(EDIT, { yaml, action: 'plan' }).expect(200);
    const form = { yaml, action: 'apply', token: tokenIn(planned.text) };
    await t.http.post(EDIT).type('form').send(form).expect(303);
    await post(EDIT, form).set('Origin', 'https://evil.example').expect(403);
    // A key of the API is no session, and no cookie is made up.
    await t.http.post(EDIT).set('Authorization', `Bearer ${API_KEY}`).type('form').send(form).expect(303);
    await t.http.post(EDIT).set('Cookie', 'owner_session=x').type('form').send(form).expect(303);
    expect(await version()).toBe(1);
  });

  it('is changed by the plan that was shown, and says in its history who did it', async () => {
    const before = await textNow();
    expect(before).toContain('funnel: niche-ebook');
    const yaml = before.replace('price: 49.00 EUR', 'price: 59.00 EUR');
    const planned = await post(EDIT, { yaml: asBrowserSends(yaml), action: 'plan' }).expect(200);
    expect(plain(planned.text)).toContain('price 49.00 EUR → 59.00 EUR');
    expect(planned.text).toContain('Apply exactly this');
    expect(boxed(planned.text)).toBe(yaml);
    expect(await version()).toBe(1);
    const applied = await post(EDIT, {
      ...{ yaml: asBrowserSends(yaml), action: 'apply', move: 'stay', token: tokenIn(planned.text) },
    }).expect(303);
    expect(applied.headers['location']).toBe('/admin/funnels/niche-ebook/history');
    const history = await get('/admin/funnels/niche-ebook/history');
    expect(plain(history)).toContain('~ product launch-kit: price 49.00 EUR → 59.00 EUR');
    expect(history).toContain('by owner@example.com');
    expect(history).toContain('by start');
    expect(await textNow()).toBe(yaml);
    const unchanged = await post(EDIT, { yaml: asBrowserSends(yaml), action: 'plan' }).expect(200);
    expect(unchanged.text).toContain('Nothing would change');
    expect(unchanged.text).not.toContain('Apply exactly this');
    // A start of the demonstration does not undo it.
    expect(await t.app.get(DemoService, { strict: false }).applyAll()).toEqual([]);
    expect(await textNow()).toBe(yaml);
  });

  it.each([
    ['no YAML', 'form: {slug: niches', 'form: [', /Line \d+/],
    ['an option that is not there', 'offers:\n', 'offerz:\n', /<code>offerz<\/code>/],
    ['a missing consent', /consent: .*\n/, '\n', /<code>form\.consent<\/code>/],
    [
      'a step to an offer that is not there',
      'offer: launch-kit\n',
      'offer: nothing\n',
      /<code>sequence\.steps\.\d\.offer<\/code>/,
    ],
    ['another key', 'funnel: niche-ebook', 'funnel: other', /Line 1<\/a> <code>funnel<\/code>/],
  ])('with %s is refused at its line, and stays typed', async (_, from, to, place) => {
    const now = await textNow();
    const yaml = from === 'form: {slug: niches' ? `${now}\n${to}` : now.replace(from, to);
    expect(yaml).not.toBe(now);
    for (const action of ['plan', 'apply']) {
      const answer = await post(EDIT, { yaml, action, token: 'plan-000000000000-000000000000-stay' }).expect(
        422,
      );
      expect(answer.text).toMatch(place);
      expect(answer.text).toContain('Not to be applied as it is');
      expect(boxed(answer.text)).toBe(yaml);
    }
    expect(await version()).toBe(2);
  });

  it('prints what was typed as text, never as part of the page', async () => {
    const evil = `</textarea><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"'`;
    const yaml = `${await textNow()}\n"${evil.replaceAll('"', '')}": 1\n`;
    const answer = await post(EDIT, { yaml, within: `"><script>3</script>`, action: 'plan' }).expect(422);
    expect(answer.text).not.toMatch(/<script>(alert|3)/);
    expect(answer.text).not.toContain('<img src=x');
    expect(boxed(answer.text)).toBe(yaml);
    const titled = (await textNow()).replace(
      'title: 75 niches that pay',
      `title: '<script>alert(4)</script>'`,
    );
    expect((await post(EDIT, { yaml: titled, action: 'plan' }).expect(200)).text).not.toContain(
      '<script>alert',
    );
    expect(answer.headers['content-security-policy']).toContain("default-src 'self'");
    const bad = await t.http
      .get('/admin/funnels/%3Cscript%3E/edit')
      .set('Cookie', cookie)
      .set('Accept', 'text/html');
    expect([bad.status, bad.text.includes('<script>')]).toEqual([404, false]);
  });

  it('is not applied when it was changed meanwhile, nor when the text is another than was planned', async () => {
    const now = await textNow();
    const yaml = now.replace('button: Send me the guide', 'button: Send it');
    const token = tokenIn((await post(EDIT, { yaml, action: 'plan' }).expect(200)).text);
    const other = yaml.replace('button: Send it', 'button: Send it now');
    const sneaked = await post(EDIT, { yaml: other, action: 'apply', token }).expect(409);
    expect(sneaked.text).toContain('Nothing was applied.');
    expect(plain(sneaked.text)).toContain('Send it now');
    expect(tokenIn(sneaked.text)).not.toBe(token);
    expect(await version()).toBe(2);

    await t.http
      .put('/api/v1/funnels/niche-ebook')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ yaml: now.replace('price: 9.00 EUR', 'price: 8.00 EUR') })
      .expect(200);
    const stale = await post(EDIT, { yaml, action: 'apply', token }).expect(409);
    expect(stale.text).toContain('the funnel in the database was changed since');
    // The new plan says that it would undo what the other did.
    expect(plain(stale.text)).toContain('price 8.00 EUR → 9.00 EUR');
    expect(boxed(stale.text)).toBe(yaml);
    expect(await version()).toBe(3);
    await post(EDIT, { yaml, action: 'apply', token: tokenIn(stale.text) }).expect(303);
    expect(await version()).toBe(4);
    expect(await get('/admin/funnels/niche-ebook/history')).toContain('by API');
  });

  it('goes back to a version whose plan was shown first', async () => {
    const path = '/admin/funnels/niche-ebook/history/1';
    const shown = await get(path);
    expect(plain(shown)).toContain('price 59.00 EUR → 49.00 EUR');
    expect(await version()).toBe(4);
    await post(path, { action: 'apply' }).expect(200);
    expect(await version()).toBe(4);
    await post(EDIT, { yaml: (await textNow()).replace('Send it', 'Mail it'), action: 'plan' })
      .expect(200)
      .then(async ({ text }) =>
        post(EDIT, { yaml: boxed(text), action: 'apply', token: tokenIn(text) }).expect(303),
      );
    const stale = await post(path, { action: 'apply', token: tokenIn(shown) }).expect(409);
    expect(stale.text).toContain('Nothing was applied.');
    expect(await version()).toBe(5);
    await post(path, { action: 'apply', token: tokenIn(stale.text) }).expect(303);
    expect(await version()).toBe(6);
    expect(await get('/admin/funnels/niche-ebook/history')).toContain('brought back version 1');
    await t.http.get('/admin/funnels/niche-ebook/history/99').set('Cookie', cookie).expect(404);
    await t.http.get('/admin/funnels/niche-ebook/history/x').set('Cookie', cookie).expect(404);
  });
});
