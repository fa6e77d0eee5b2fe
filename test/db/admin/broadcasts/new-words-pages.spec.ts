import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { ownerPages } from '../../../support/owner-pages.js';

const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };
const MAIL = { subject: 'The frist frost', preview: '', body: 'Come today.', action: 'keep' };

describe('the owner changes the words of a paused broadcast', () => {
  let t: TestApp;
  let cookie = '';
  beforeAll(async () => {
    t = await startTestApp();
    await t.dataSource.query(
      `insert into subscriber (email, email_key, name, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'Pia Reader', 'active', now(), now() from generate_series(1, 6) g`,
    );
    ({ cookie } = await ownerPages(t));
  });
  afterAll(async () => t.close());

  const get = (path: string) => t.http.get(`/admin${path}`).set('Cookie', cookie);
  const post = (path: string, form: object) =>
    t.http.post(`/admin${path}`).set('Cookie', cookie).type('form').send(form);
  const api = (method: 'get' | 'post' | 'patch', path: string) =>
    t.http[method](`/api/v1${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const run = async (job: string): Promise<unknown> => t.app.get(JobRunner).run(job);
  const started = async (change: object): Promise<string> => {
    const body = { title: 'News', template: 'emails/story', audience: { everybody: true }, sender: SENDER };
    const { body: made } = await api('post', '/broadcasts').send({ ...body, ...change });
    const { id } = made as { id: string };
    await api('post', `/broadcasts/${id}/start`).send({ spreadMinutes: 600 }).expect(200);
    await run('broadcasts.plan');
    await run('delivery.send-due');
    await api('post', `/broadcasts/${id}/pause`).expect(200);
    return id;
  };

  it('on its page: they were frozen, and the mail was changed for nobody', async () => {
    await post('/mails', MAIL).expect(303);
    const id = await started({ template: 'written/the-frist-frost' });
    expect((await get(`/broadcasts/${id}`).expect(200)).text).toContain(`/admin/broadcasts/${id}/words`);
    const before = (await get(`/broadcasts/${id}/words`).expect(200)).text;
    expect(before).toMatch(/5 mails wait and get\s+the new words/);
    expect(before).not.toContain('was changed since');
    const edit = /href="\/admin(\/mails\/\d+)"/.exec(before)?.[1] ?? '';
    await post(edit, { ...MAIL, subject: 'The first frost' }).expect(303);
    expect((await get(`/broadcasts/${id}/words`)).text).toContain('The mail was changed since');
    const template = 'written/the-frist-frost';
    const wrong = await post(`/broadcasts/${id}/words`, { template, subject: '{{ nobody.knows }}' }).expect(
      422,
    );
    expect(wrong.text).toContain('value="{{ nobody.knows }}"');
    expect(wrong.text).toContain('The words are as they were.');
    expect(wrong.text).toContain('<a href="#subject">Subject: the broadcast’s own subject');
    expect(wrong.text).toMatch(/<a class="break" href="\/admin\/broadcasts\/\d+">News<\/a>/);
    const typed = { template, subject: 'Frost for {{ subscriber.firstName }}' };
    const preview = await post(`/broadcasts/${id}/words`, { ...typed, action: 'preview' }).expect(200);
    expect(preview.headers['content-security-policy']).toMatch(/^sandbox/);
    expect((await api('get', `/broadcasts/${id}`)).body).toMatchObject({ rewordedAt: null });
    await post(`/broadcasts/${id}/words`, { template, subject: '' }).expect(303);
    const page = (await get(`/broadcasts/${id}`).expect(200)).text;
    expect(page).toContain('who had it before has the old ones');
    expect(page).toMatch(/The first frost <span[^>]*>version \d+<\/span> <span[^>]*>now</);
    expect((await get(`/broadcasts/${id}/words`)).text).not.toContain('was changed since');
    await post(`/broadcasts/${id}/resume`, {}).expect(303);
    await get(`/broadcasts/${id}/words`).expect(409);
  });

  it('of a split test that is decided: its page shows the mail of the rest beside those that were tested', async () => {
    const arms = [{ subject: 'Arm A' }, { subject: 'Arm B' }];
    const split = { arms, testPercent: 50, waitMinutes: 1, judge: 'clicks' };
    const id = await started({ split });
    const decision = { verdict: 'no_winner', because: 'horizon', arm: 1, at: new Date().toISOString() };
    await t.dataSource.query('update broadcast set decision = $2 where id = $1', [id, decision]);
    await post(`/broadcasts/${id}/words`, { template: 'emails/story', subject: 'For the rest' }).expect(303);
    const page = (await get(`/broadcasts/${id}`).expect(200)).text;
    const named = [...page.matchAll(/<summary><span class="badge">([^<]*)<\/span> <strong[^>]*>([^<]*)</g)];
    expect(named.map(([, name, subject]) => `${name}: ${subject}`)).toEqual([
      ...['A: Arm A', 'B: Arm B', 'The rest: For the rest'],
    ]);
    expect(page).toContain('name="arm" value="rest"');
    const to = { to: 'ada@example.com', arm: 'rest' };
    const test = await api('post', `/broadcasts/${id}/test`).send(to).expect(201);
    expect(test.body).toMatchObject({ subject: '[Test] For the rest' });
  });

  it('over the API, which says of each mail what words it has', async () => {
    const id = await started({ subject: 'Old' });
    const changed = await api('patch', `/broadcasts/${id}`).send({ subject: 'New' }).expect(200);
    expect(changed.body).toMatchObject({ state: 'paused', subject: 'New', rewordedAt: expect.any(String) });
    const refused = await api('patch', `/broadcasts/${id}`).send({ topic: 'other' }).expect(409);
    expect(refused.body).toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
      detail: expect.stringContaining('its words may be changed: title, template, subject'),
      errors: [{ field: 'topic', allowed: ['title', 'template', 'subject'], message: expect.any(String) }],
    });
    const { body } = await api('get', `/messages?broadcastId=${id}`).expect(200);
    const mails = (body as { data: { id: string; state: string }[] }).data;
    const explained = async (state: string): Promise<string> => {
      const mail = mails.find((one) => one.state === state);
      const { body: answer } = await api('get', `/messages/${mail?.id}/explain`).expect(200);
      return JSON.stringify(answer);
    };
    expect(await explained('accepted')).toMatch(
      /WORDS_OF_BEFORE.*has those of before: subject “Old”, version/,
    );
    expect(await explained('ready')).toMatch(/WORDS_CHANGED.*has the new ones: subject “New”, version/);
    const results = await api('get', `/broadcasts/${id}/results`).expect(200);
    expect(results.body).toMatchObject({
      words: [
        { subject: 'Old', isCurrent: false, sent: 1 },
        { subject: 'New', isCurrent: true, sent: 0 },
      ],
    });
  });
});
