import type { FastifyReply, FastifyRequest } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OwnerAccess } from '../../../src/admin/access/owner-access.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { boxed, OWNER, plain } from '../../support/owner-pages.js';

let t: TestApp;
/** Says that somebody has signed in with this browser before, and opens nothing. */
let browser = '';
let session = '';
beforeAll(async () => {
  t = await startTestApp();
  const { headers } = await t.http.post('/admin/setup').type('form').send(OWNER).expect(303);
  const cookies = [headers['set-cookie'] ?? []].flat().map((one) => one.split(';')[0] ?? '');
  browser = cookies.find((one) => one.startsWith('ws_browser=')) ?? '';
  session = cookies.find((one) => one.startsWith('ws_session=')) ?? '';
});
afterAll(async () => t.close());

type Form = Record<string, string | string[]>;
const post = (path: string, form: Form, cookie = browser) =>
  t.http.post(path).set('Cookie', cookie).type('form').send(form);
/** The fields that the page holds, as a browser sends them back. */
const heldIn = (html: string): Form => {
  const held: Record<string, string[]> = {};
  for (const [, name = '', value = ''] of html.matchAll(
    /<input type="hidden" name="([^"]*)" value="([^"]*)">/g,
  ))
    (held[plain(name)] ??= []).push(plain(value));
  return Object.fromEntries(
    Object.entries(held).map(([name, all]) => [name, all.length === 1 ? (all[0] ?? '') : all]),
  );
};
const SIGN_IN = { 'signIn.email': OWNER.email, 'signIn.password': OWNER.password };

describe('a form that is sent after the session has ended', () => {
  it('is kept in the page that asks to sign in, and goes on from there, whatever was typed', async () => {
    const begun = await post('/admin/new-funnel', { key: 'tea', title: 'Tea' }, session).expect(200);
    const yaml = boxed(begun.text).replace('title: Tea', 'title: "Tea <b> & \\"green\\""');
    const form = {
      yaml,
      action: 'plan',
      move: 'stay',
      'text:emails/story.mjml': '<mjml>\n  "x" </textarea>\n</mjml>',
    };
    const asked = await post('/admin/new-funnel/text', form).expect(403);
    expect(asked.text).toContain('action="/admin/new-funnel/text"');
    expect(heldIn(asked.text)).toEqual(form);

    const wrong = await post('/admin/new-funnel/text', {
      ...{ ...heldIn(asked.text), ...SIGN_IN, 'signIn.password': 'not the words at all' },
    }).expect(403);
    expect(wrong.text).toContain('The address or the password is wrong.');
    expect(wrong.text).not.toContain('not the words at all');
    expect(wrong.text).toContain(`value="${OWNER.email}"`);
    expect(heldIn(wrong.text)).toEqual(form);

    const done = await post('/admin/new-funnel/text', { ...heldIn(wrong.text), ...SIGN_IN }).expect(422);
    expect(boxed(done.text)).toBe(yaml);
    expect(boxed(done.text, 'text:emails/story.mjml')).toBe(form['text:emails/story.mjml']);
    expect(done.text).not.toContain('signIn');
    const opened = [done.headers['set-cookie'] ?? []].flat().find((one) => one.startsWith('ws_session='));
    await t.http
      .get('/admin')
      .set('Cookie', opened?.split(';')[0] ?? '')
      .expect(200);
  });

  it('is without the password also when its page is loaded again: with the new session it reached the page', async () => {
    const values = [session, browser].map((one) => decodeURIComponent(one.slice(one.indexOf('=') + 1)));
    const cookies = { ws_session: values[0], ws_browser: values[1] };
    const request = { method: 'POST', url: '/admin/lists', cookies, body: { title: 'X', ...SIGN_IN } };
    const access = t.app.get(OwnerAccess, { strict: false });
    const asked = request as Partial<FastifyRequest> as FastifyRequest;
    expect(await access.admit(asked, {} as FastifyReply)).toBe(true);
    expect(request.body).toEqual({ title: 'X' });
  });

  it('keeps each of several ticks of one name, and does what the button said', async () => {
    const tree = {
      title: 'Here',
      'c.match': 'all',
      'c.0.kind': 'status',
      'c.0.status': ['active', 'pending'],
      action: 'save',
    };
    const asked = await post('/admin/segments', tree).expect(403);
    expect(await t.dataSource.query('select 1 from segment')).toEqual([]);
    await post('/admin/segments', { ...heldIn(asked.text), ...SIGN_IN }).expect(303);
    expect(await t.dataSource.query('select conditions from segment')).toEqual([
      { conditions: { all: [{ status: ['active', 'pending'] }] } },
    ]);
  });

  it('is not taken from another site, nor held for a browser in which nobody has signed in', async () => {
    await post('/admin/lists', { title: 'X', ...SIGN_IN })
      .set('Origin', 'https://evil.example')
      .expect(403);
    const elsewhere = await post('/admin/lists', { title: 'X', ...SIGN_IN }, '').expect(303);
    expect(elsewhere.headers['location']).toBe('/admin/login?next=%2Fadmin');
    const known = await t.http
      .post('/admin/lists')
      .set('Referer', 'http://localhost:3000/admin/lists/new')
      .expect(303);
    expect(known.headers['location']).toBe('/admin/login?next=%2Fadmin%2Flists%2Fnew');
    const foreign = await t.http
      .post('/admin/lists')
      .set('Referer', 'https://evil.example/admin/x')
      .expect(303);
    expect(foreign.headers['location']).toBe('/admin/login?next=%2Fadmin');
    expect(await t.dataSource.query('select 1 from list')).toEqual([]);
  });

  it('counts tries as the page of signing in does', async () => {
    const form = { title: 'X', ...SIGN_IN, 'signIn.password': 'guessed wrongly' };
    for (let tries = 0; tries < 10; tries += 1) await post('/admin/lists', form).expect(403);
    const limited = await post('/admin/lists', { ...form, ...SIGN_IN }).expect(403);
    expect(limited.text).toContain('Too many tries. Wait 15 minutes, then try again.');
    expect(heldIn(limited.text)).toEqual({ title: 'X' });
  });

  it('leads whoever loads the page of a new funnel anew to its beginning', async () => {
    const { headers } = await t.http.get('/admin/new-funnel/text').set('Cookie', session).expect(303);
    expect(headers['location']).toBe('/admin/new-funnel');
  });
});
