import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, MODULE_METADATA, PATH_METADATA } from '@nestjs/common/internal';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminModule } from '../../../src/admin/admin.module.js';
import { setupCode } from '../../../src/admin/access/setup-code.js';
import { MailboxService } from '../../../src/infra/mailbox/mailbox.service.js';
import { OPENED_AT, openShop, type Shop } from '../orders/shop.js';

/** Of the shop's key: what the server prints at its start. */
const CODE = setupCode(Buffer.alloc(32, 3));
const OWNER = { email: 'owner@example.com', password: 'three unrelated words' };
const DAY_MS = 86_400_000;

/** What the module answers below `/admin`: `post /admin/imports/:id/begin`. */
function adminRoutes(): { method: 'get' | 'post'; path: string }[] {
  const controllers = Reflect.getMetadata(MODULE_METADATA.CONTROLLERS, AdminModule) as Type<object>[];
  return controllers.flatMap(({ prototype }) =>
    Object.getOwnPropertyNames(prototype).flatMap((name) => {
      const handler: unknown = Reflect.get(prototype, name);
      const method: unknown = Reflect.getMetadata(METHOD_METADATA, Object(handler));
      const parts = [prototype.constructor, Object(handler)].map((at) =>
        String(Reflect.getMetadata(PATH_METADATA, at)),
      );
      const path = `/${parts.flatMap((part) => part.split('/').filter((word) => word !== '')).join('/')}`;
      if (method === undefined || !path.startsWith('/admin')) return [];
      return [{ method: method === RequestMethod.GET ? ('get' as const) : ('post' as const), path }];
    }),
  );
}

describe("the owner's pages", () => {
  let shop: Shop;
  let cookie = '';

  beforeAll(async () => {
    shop = await openShop({
      modules: [AdminModule],
      env: { HOST: '0.0.0.0', BASE_URL: 'https://shop.example.com', TRUST_PROXY: '1' },
    });
    await shop.publishOffer();
    await shop.db.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at) values ('shop', 'The <shop>', '{}', '', 1, $1, $1)`,
      [OPENED_AT],
    );
  });

  afterAll(async () => shop?.close());

  const post = (path: string, form: Record<string, string> = {}) =>
    shop.http.post(path).type('form').send(form);
  const get = (path: string) => shop.http.get(path).set('Cookie', cookie);
  const cookieOf = (answer: { headers: Record<string, unknown> }): string =>
    String(answer.headers['set-cookie']).split(';')[0] ?? '';

  it('lead to the first run while there is no owner', async () => {
    expect((await shop.http.get('/admin').expect(303)).headers['location']).toBe('/admin/setup');
    expect((await shop.http.get('/admin/login').expect(303)).headers['location']).toBe('/admin/setup');
    expect((await shop.http.get('/admin/setup').expect(200)).text).toContain('action="/admin/setup"');
    const refused = await post('/admin/setup', { email: 'owner', password: 'short' }).expect(422);
    expect(refused.text).toContain('value="owner"');
    expect(refused.text).toContain('at least 12 characters');
    await shop.http
      .post('/admin/setup')
      .set('Origin', 'https://evil.example')
      .type('form')
      .send(OWNER)
      .expect(403);
  });

  it('are nobody’s who merely comes first from elsewhere, but theirs who knows the code that was printed', async () => {
    expect((await shop.http.get('/admin/setup').expect(200)).text).toContain('name="code"');
    for (const code of [undefined, '', CODE.slice(0, -1), setupCode(Buffer.alloc(32, 4))]) {
      const refused = await post('/admin/setup', {
        ...OWNER,
        ...(code === undefined ? {} : { code }),
      }).expect(422);
      expect(refused.text).toContain('not the set-up code');
    }
    expect(await shop.db.query('select 1 from owner')).toEqual([]);
    expect(CODE).toMatch(/^[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}$/);
  });

  it('make one owner out of first runs at the same moment', async () => {
    const answers = await Promise.all(
      ['owner@example.com', 'second@example.com', 'third@example.com'].map((email) =>
        post('/admin/setup', { ...OWNER, email, code: ` ${CODE.toUpperCase()}` }).expect(303),
      ),
    );
    expect(
      answers.map(({ headers }) => headers['location']).toSorted((a = '', b = '') => a.localeCompare(b)),
    ).toEqual(['/admin', '/admin/login', '/admin/login']);
    const owners = await shop.db.query('select email, password_hash as "passwordHash" from owner');
    expect(owners).toHaveLength(1);
    await shop.db.query(`update owner set email = $1, email_key = $1`, [OWNER.email]);
    expect((owners as { passwordHash: string }[])[0]?.passwordHash).toMatch(/^\$argon2id\$/);
    expect((await shop.http.get('/admin/setup').expect(303)).headers['location']).toBe('/admin/login');
  });

  it('open with a session that the browser guards and the database does not know', async () => {
    const answer = await post('/admin/login', { ...OWNER, next: '/admin/funnels' }).expect(303);
    expect(answer.headers['location']).toBe('/admin/funnels');
    expect(String(answer.headers['set-cookie'])).toMatch(
      /^ws_session=[\w-]{43}; .*HttpOnly; Secure; SameSite=Lax/,
    );
    cookie = cookieOf(answer);
    await get('/admin').expect(200);
    const stored = await shop.db.query(
      `select 1 from owner_session where token_hash = convert_to($1, 'UTF8')`,
      [cookie.slice('ws_session='.length)],
    );
    expect(stored).toEqual([]);
    expect((await shop.http.get('/admin/subscribers').expect(303)).headers['location']).toBe(
      '/admin/login?next=%2Fadmin%2Fsubscribers',
    );
  });

  it('are behind the sign-in and take no form of another site, but for the doors', async () => {
    const routes = adminRoutes();
    expect(routes.length).toBeGreaterThan(50);
    const open: string[] = [];
    for (const { method, path } of routes) {
      const url = path.replace(/:\w+/g, '1');
      const { status, headers } = await shop.http[method](url);
      // A form has no page of its own to come back to.
      const back = encodeURIComponent(method === 'get' ? url : '/admin');
      if (headers['location'] !== `/admin/login?next=${back}`) open.push(`${method} ${path} ${status}`);
      if (method === 'get') continue;
      await shop.http.post(url).set('Cookie', cookie).set('Origin', 'https://evil.example').expect(403);
    }
    expect(open).toEqual([
      'get /admin/setup 303',
      'post /admin/setup 303',
      'get /admin/login 200',
      'post /admin/login 422',
      'post /admin/logout 303',
    ]);
    await get('/admin').expect(200);
  });

  it('show the figures of each funnel, with what was typed kept harmless', async () => {
    const dashboard = await get('/admin').expect(200);
    expect(dashboard.text).toContain('/admin/funnels/shop');
    expect(dashboard.text).toContain('The &lt;shop&gt;');
    expect((await get('/admin/funnels').expect(200)).text).toContain('The &lt;shop&gt;');
    const funnel = await get('/admin/funnels/shop').expect(200);
    expect(funnel.text).toContain('0 visitors, 0 sign-ups');
    await get('/admin/funnels/nothing').expect(404);
  });

  it('show who subscribed and what they were sent', async () => {
    const { subscriberId } = await shop.mailTo('ada@example.com', null);
    expect((await get('/admin/subscribers').expect(200)).text).toContain(
      `/admin/subscribers/${subscriberId}`,
    );
    const page = await get(`/admin/subscribers/${subscriberId}`).expect(200);
    expect(page.text).toContain('ada@example.com');
    expect(page.text).toContain('accepted');
    await get('/admin/subscribers/999999').expect(404);
    await get('/admin/subscribers/abc').expect(404);
  });

  it('keep the mailbox for the owner where others can reach it', async () => {
    await shop.app.get(MailboxService, { strict: false }).keep({
      from: 'ada@example.com',
      to: 'reader@example.com',
      raw: Buffer.from(
        'From: Ada <ada@example.com>\r\nTo: reader@example.com\r\nSubject: Hello <you>\r\nX-Test: 1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><head></head><body><script>alert(1)</script><a href="https://shop.example.com/">x</a></body></html>\r\n',
      ),
    });
    await shop.http.get('/mailbox').set('Accept', 'application/json').expect(303);
    const list = await get('/mailbox').set('Accept', 'application/json').expect(200);
    expect(list.body).toEqual({
      data: [
        {
          id: '1',
          subject: 'Hello <you>',
          to: 'reader@example.com',
          from: 'Ada <ada@example.com>',
          receivedAt: OPENED_AT.toISOString(),
        },
      ],
      nextCursor: null,
    });
    expect((await get('/mailbox').expect(200)).text).toContain('Hello &lt;you&gt;');
    const mail = await get('/mailbox/1').set('Accept', 'application/json').expect(200);
    expect(mail.body.headers).toContainEqual({ name: 'X-Test', value: '1' });
    for (const [tab, expected] of [
      ['html', 'src="/mailbox/1/html"'],
      ['source', 'Subject: Hello'],
      ['headers', 'X-Test'],
      ['text', '<pre'],
    ]) {
      expect((await get(`/mailbox/1?tab=${tab}`).expect(200)).text).toContain(expected);
    }
    const html = await get('/mailbox/1/html').expect(200);
    expect(html.headers['content-security-policy']).toMatch(
      /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'/,
    );
    expect(html.text).toContain('<base target="_blank">');
    await get('/mailbox/2').expect(404);
  });

  it('do not move the clock outside demo mode', async () => {
    const answer = await shop.http.post('/mailbox/skip-ahead').set('Cookie', cookie);
    expect(answer.status).toBe(404);
  });

  it('close after thirty days, and at once when the owner signs out', async () => {
    shop.clock.advance(30 * DAY_MS - 1);
    await get('/admin').expect(200);
    shop.clock.advance(1);
    await get('/admin').expect(303);
    shop.clock.set(OPENED_AT);
    const fresh = cookieOf(await post('/admin/login', OWNER).expect(303));
    await shop.http
      .post('/admin/logout')
      .set('Cookie', fresh)
      .set('Origin', 'https://evil.example')
      .expect(403);
    await shop.http.get('/admin').set('Cookie', fresh).expect(200);
    await shop.http.post('/admin/logout').set('Cookie', fresh).expect(303);
    expect((await shop.http.get('/admin').set('Cookie', fresh)).status).toBe(303);
  });

  it('refuse guesses alike for a known and an unknown address, and soon altogether', async () => {
    const wrong = await post('/admin/login', { ...OWNER, password: 'wrong password' }).expect(422);
    const unknown = await post('/admin/login', { ...OWNER, email: 'nobody@example.com' }).expect(422);
    expect(unknown.text.replace('nobody@', 'owner@')).toBe(wrong.text);
    for (let tries = 2; tries < 10; tries++)
      await post('/admin/login', { ...OWNER, password: 'wrong password' }).expect(422);
    const limited = await post('/admin/login', OWNER).expect(429);
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    const kept = await shop.db.query(
      `select key from rate_limit where key like '%owner%' or key like '%127.0.0.1%'`,
    );
    expect(kept).toEqual([]);
  });

  it('do not shut the owner out while others guess, nor let them guess from a network of their own', async () => {
    await shop.db.query('delete from rate_limit');
    const login = (from: string, password: string) =>
      post('/admin/login', { ...OWNER, password }).set('X-Forwarded-For', from);
    const known = String((await login('192.0.2.1', OWNER.password).expect(303)).headers['set-cookie']);
    const browser = /ws_browser=[^;]+/.exec(known)?.[0] ?? '';
    expect(browser).not.toBe('');
    for (let guess = 0; guess < 10; guess++)
      await login(`2001:db8:1:2::${guess}`, 'wrong password').expect(422);
    await login('2001:db8:1:2:3::4', 'wrong password').expect(429);
    await shop.db.query(`update rate_limit set points = 51 where key like 'login-account:%'`);
    await login('192.0.2.1', OWNER.password).expect(429);
    await login('192.0.2.1', OWNER.password).set('Cookie', `${browser}x`).expect(429);
    await login('2001:db8:1:2::5', OWNER.password).set('Cookie', browser).expect(303);
    // Nor does the cookie let a thief of it guess on.
    for (let guess = 0; guess < 10; guess++)
      await login('192.0.2.1', 'wrong password').set('Cookie', browser).expect(422);
    await login('192.0.2.9', OWNER.password).set('Cookie', browser).expect(429);
  });
});
