import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

const BODY = {
  title: 'News of January',
  template: 'emails/story',
  audience: { everybody: true },
  sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
};

describe('broadcasts by REST and on the owner’s page', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'active', now(), now() from generate_series(1, 3) g`,
    );
  });
  afterAll(async () => t.close());

  const run = async (job: string): Promise<void> => {
    expect(await t.app.get(JobRunner).run(job)).toBe('done');
  };
  const post = (path: string, body: object = {}) =>
    t.http.post(`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
  const get = (path: string) =>
    t.http.get(`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const created = async (change: object = {}): Promise<string> =>
    (await post('', { ...BODY, ...change }).expect(201)).body.id as string;

  it('is written, changed, counted, scheduled, started, and shown with its mails', async () => {
    const id = await created({ expiresAt: '2026-02-01T00:00:00+01:00' });
    const { body: draft } = await get(`/${id}`).expect(200);
    expect(draft).toMatchObject({
      ...BODY,
      state: 'draft',
      topic: 'news',
      expiresAt: '2026-01-31T23:00:00.000Z',
      scheduledAt: null,
      counts: {},
      complete: false,
    });
    const { body: changed } = await t.http
      .patch(`/api/v1/broadcasts/${id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ title: 'News of the month', topic: 'tips', expiresAt: null })
      .expect(200);
    expect(changed).toMatchObject({
      title: 'News of the month',
      topic: 'tips',
      expiresAt: null,
      template: 'emails/story',
    });
    expect((await get(`/${id}/audience`).expect(200)).body).toEqual({ size: 3 });
    const at = '2026-01-05T10:00:00.000Z';
    expect((await post(`/${id}/start`, { at }).expect(200)).body).toMatchObject({
      state: 'scheduled',
      scheduledAt: at,
    });
    expect((await post(`/${id}/start`).expect(200)).body).toMatchObject({
      state: 'scheduled',
      scheduledAt: at,
    });
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'scheduled' });
    t.clock.set(at);
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({
      state: 'running',
      counts: { ready: 3 },
      startedAt: at,
    });
    await run('delivery.send-due');
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({
      state: 'done',
      counts: { accepted: 3 },
      complete: true,
    });
    expect(await t.mailsTo('p2@example.com')).toHaveLength(1);
    const { body: page } = await get('?limit=1').expect(200);
    expect(page.data).toMatchObject([{ id, state: 'done', title: 'News of the month' }]);
  });

  it.each([
    ['a field it does not know', { segment: 'all' }],
    ['an audience that says nothing', { audience: {} }],
    ['a sender without a postal address', { sender: { name: 'Ada', email: 'ada@example.com' } }],
    ['a sender whose name breaks the line', { sender: { ...BODY.sender, name: 'Ada\r\nBcc: x' } }],
    ['a template outside its folder', { template: '../config/env' }],
    ['a time without a zone', { expiresAt: '2026-02-01T00:00:00' }],
  ])('refuses %s', async (_, change) => {
    expect((await post('', { ...BODY, ...change }).expect(422)).body.code).toBe('REQUEST_INVALID');
  });

  it('names the file of a mail that cannot be sent, before the first mail', async () => {
    const { body } = await post('', { ...BODY, template: 'emails/none' }).expect(404);
    expect(body).toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
    expect(body.detail).toContain('templates/emails/none.mjml');
  });

  it('refuses what does not fit the state, and knows when it is asked twice', async () => {
    const id = await created();
    expect((await post(`/${id}/pause`).expect(409)).body).toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
      facts: { state: 'draft' },
    });
    await post(`/${id}/start`, { at: '2030-01-01T00:00:00Z' }).expect(200);
    expect((await post(`/${id}/pause`).expect(200)).body).toMatchObject({ state: 'paused' });
    expect((await post(`/${id}/pause`).expect(200)).body).toMatchObject({ state: 'paused' });
    expect((await post(`/${id}/resume`).expect(200)).body).toMatchObject({ state: 'scheduled' });
    expect((await post(`/${id}/cancel`).expect(200)).body).toMatchObject({
      state: 'cancelled',
      complete: true,
    });
    expect((await post(`/${id}/cancel`).expect(200)).body).toMatchObject({ state: 'cancelled' });
    await post(`/${id}/start`).expect(409);
    await get('/999999').expect(404);
    await t.http.get('/api/v1/broadcasts').expect(401);
  });

  it('is paused, goes on and is cancelled on the owner’s page, by the owner alone', async () => {
    const id = await created({ title: 'For <everybody>' });
    await post(`/${id}/start`).expect(200);
    await run('broadcasts.plan');
    expect((await t.http.get('/admin/broadcasts').expect(303)).headers['location']).toBe('/admin/setup');
    const setup = await t.http
      .post('/admin/setup')
      .type('form')
      .send({ email: 'owner@example.com', password: 'three unrelated words' })
      .expect(303);
    const cookie = String(setup.headers['set-cookie']).split(';')[0] ?? '';
    const press = (action: string) => t.http.post(`/admin/broadcasts/${id}/${action}`).set('Cookie', cookie);
    const { text } = await t.http.get('/admin/broadcasts').set('Cookie', cookie).expect(200);
    expect(text).toContain('For &lt;everybody&gt;');
    expect(text).toContain(`action="/admin/broadcasts/${id}/pause"`);
    await press('pause').set('Origin', 'https://evil.example').expect(403);
    await t.http.post(`/admin/broadcasts/${id}/pause`).expect(303);
    expect((await get(`/${id}`)).body.state).toBe('running');
    await press('pause').expect(303);
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'paused', stateReason: 'paused by the owner' });
    await press('resume').expect(303);
    expect((await get(`/${id}`)).body.state).toBe('running');
    await press('explode').expect(404);
    await press('cancel').expect(303);
    expect((await get(`/${id}`)).body.state).toBe('cancelled');
  });
});
