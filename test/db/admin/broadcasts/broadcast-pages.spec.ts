import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { ownerPages } from '../../../support/owner-pages.js';

const FORM = {
  title: 'News <of> March',
  template: 'emails/story',
  subject: 'Hello {{ subscriber.firstName | default: "you" }}',
  audience: 'everybody',
  senderName: 'Ada',
  senderEmail: 'ada@example.com',
  senderPostalAddress: '1 Main St, Springfield',
};

describe('the owner’s pages of broadcasts', () => {
  let t: TestApp;
  let cookie = '';
  beforeAll(async () => {
    t = await startTestApp();
    await t.dataSource.query(
      `insert into subscriber (email, email_key, name, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'Pia Reader', 'active', now(), now() from generate_series(1, 3) g`,
    );
    ({ cookie } = await ownerPages(t));
  });
  afterAll(async () => t.close());

  const get = (path: string) => t.http.get(`/admin/broadcasts${path}`).set('Cookie', cookie);
  const post = (path: string, form: object) =>
    t.http.post(`/admin/broadcasts${path}`).set('Cookie', cookie).type('form').send(form);
  const written = async (change: object = {}): Promise<string> => {
    const { headers } = await post('', { ...FORM, ...change }).expect(303);
    return /^\/admin\/broadcasts\/(\d+)$/.exec(headers['location'] ?? '')?.[1] ?? '';
  };
  const state = async (id: string): Promise<Record<string, unknown>> =>
    (await t.http.get(`/api/v1/broadcasts/${id}`).set('Authorization', `Bearer ${API_KEY}`)).body as Record<
      string,
      unknown
    >;

  it('let nobody in but the owner, and no form of another site', async () => {
    const id = await written();
    for (const path of ['/new', `/${id}`, `/${id}/edit`, `/${id}/preview`])
      await t.http.get(`/admin/broadcasts${path}`).expect(303);
    for (const path of ['', `/${id}/edit`, `/${id}/start`, `/${id}/resend`]) {
      await t.http.post(`/admin/broadcasts${path}`).type('form').send(FORM).expect(303);
      await post(path, FORM).set('Origin', 'https://evil.example').expect(403);
    }
    expect(await state(id)).toMatchObject({ state: 'draft' });
    await get('/999999').expect(404);
    await get('/none').expect(404);
    for (const path of ['/none/resend', '/none/start']) await post(path, { when: 'now' }).expect(404);
  });

  it('say before the start that nobody would get it: it was done without a word', async () => {
    const id = await written();
    expect((await get(`/${id}`)).text).not.toContain('nobody would get it');
    await t.dataSource.query(`update subscriber set status = 'pending'`);
    const words = 'nobody would get it now: of those it is for, 3 people are pending';
    expect((await get(`/${id}`)).text).toContain(`As it stands ${words}`);
    expect((await get(`/${id}?check=1`)).text).toContain(`</span> ${words}`);
    await t.dataSource.query(`update subscriber set status = 'active'`);
  });

  it('say beside the audience that its funnel has gone meanwhile: it stood beside the mail', async () => {
    const { text } = await post('', { ...FORM, audience: 'some', funnel: 'gone' }).expect(422);
    expect(text).toContain('id="audience-error">There is no funnel with the key gone');
  });

  it('send the mail to the owner as a test, which could be seen in no mail program before', async () => {
    const id = await written();
    expect((await get(`/${id}`)).text).toContain('Send it to me as a test');
    const { headers } = await post(`/${id}/test`, { arm: 'a' }).expect(303);
    await t.runDue();
    expect(await t.mailsTo('owner@example.com')).toMatchObject([{ subject: '[Test] Hello Pia' }]);
    const shown = await t.http.get(String(headers['location']).replace(/#.*/, '')).set('Cookie', cookie);
    expect(shown.text).toContain('A test is on its way to your address');
    await post(`/${id}/test`, { arm: 'z' }).expect(422);
  });

  it('say of mails that wait for the owner that they do: they were among those that wait for their turn', async () => {
    const id = await written();
    await post(`/${id}/start`, { when: 'now' }).expect(303);
    await t.app.get(JobRunner).run('broadcasts.plan');
    const held = `update message set state = 'held', state_reason = $2 where id = (select min(id) from message where broadcast_id = $1 and state = 'ready')`;
    await t.dataSource.query(held, [id, 'broadcast paused']);
    expect((await get(`/${id}`)).text).not.toContain('held for your decision');
    await t.dataSource.query(held, [id, 'refused because of the sender: blocked']);
    expect((await get(`/${id}`)).text).toContain('1 of those that wait is held for your decision');
    await t.dataSource.query('delete from message where broadcast_id = $1', [id]);
    await t.dataSource.query('delete from broadcast where id = $1', [id]);
  });

  it('write one, say beside each field what is wrong, and keep what was typed', async () => {
    expect((await get('/new').expect(200)).text).toContain('emails/story: My first e-book');
    const wrong = await post('', { ...FORM, senderEmail: 'ada@', audience: 'some' }).expect(422);
    expect(wrong.text).toContain('<a href="#senderEmail">Use a complete email address');
    expect(wrong.text).toContain('Say who gets it');
    expect(wrong.text).toContain('value="News &lt;of&gt; March"');
    const none = await post('', { ...FORM, subject: 'Hello {{ subscriber' }).expect(422);
    expect(none.text).toContain('id="template-error"');
    const id = await written({
      split: 'on',
      'arms.1.subject': 'Other words',
      testPercent: '50',
      waitHours: '1',
      judge: 'clicks',
    });
    const { text } = await get(`/${id}`).expect(200);
    expect(text).toContain('News &lt;of&gt; March');
    expect(text).toContain('3 people at this moment');
    expect(text).toContain('Hello Pia');
    expect(text).toContain('50 % of the audience try 2 arms; after 1 hour');
    // Browsers send the lines of a text with both signs; one field of one line would run them together.
    const lines = { senderPostalAddress: '1 Main St\r\nSpringfield' };
    await post(`/${id}/edit`, { ...FORM, ...lines, title: 'Other name' }).expect(303);
    const sender = { postalAddress: '1 Main St\nSpringfield' };
    expect(await state(id)).toMatchObject({ title: 'Other name', split: null, sender });
    const form = (await get(`/${id}/edit`).expect(200)).text;
    expect(form).toContain('value="Other name"');
    expect(form).toMatch(/<textarea id="senderPostalAddress"[^>]*>1 Main St\nSpringfield<\/textarea>/);
    const preview = await get(`/${id}/preview`).expect(200);
    expect(preview.text).toContain('Hi Pia');
    expect(preview.headers['content-security-policy']).toMatch(/^sandbox allow-popups/);
    expect((await get(`/${id}?check=1`).expect(200)).text).toContain('id="checks"');
  });

  it('start one at a time, show it go, and send it once more', async () => {
    const id = await written();
    expect((await post(`/${id}/start`, { when: 'local', time: '' }).expect(422)).text).toContain(
      'Give the day and the time of day.',
    );
    const elsewhere = { when: 'at', time: '2030-01-01T09:30', zone: 'Mars/Base' };
    const kept = (await post(`/${id}/start`, elsewhere).expect(422)).text;
    expect(kept).toContain('value="Mars/Base"');
    expect(kept).toContain('id="zone-error"');
    const passed = { when: 'local', time: '2020-01-01T09:30', zone: 'UTC' };
    expect((await post(`/${id}/start`, passed).expect(422)).text).toContain('has passed everywhere');
    await post(`/${id}/start`, { when: 'now', spreadHours: '1' }).expect(303);
    const run = async (job: string): Promise<void> => {
      expect(await t.app.get(JobRunner).run(job)).toBe('done');
    };
    await run('broadcasts.plan');
    const { text } = await get(`/${id}`).expect(200);
    expect(text).toContain('3 mails to go');
    expect(text).toContain('spread over 1 hour');
    const frozen = await get(`/${id}/edit`).set('Accept', 'text/html').expect(409);
    expect(frozen.text).toContain('It has been started, and its words are frozen.');
    expect(frozen.text).toContain('<a href="/admin">Back</a>');
    t.clock.advance(3_600_000);
    await run('delivery.send-due');
    await run('broadcasts.plan');
    const done = (await get(`/${id}`).expect(200)).text;
    expect(done).toContain('Once more');
    const unsaid = (await post(`/${id}/resend`, { resendSubject: '', unless: 'clicked' }).expect(422)).text;
    expect(unsaid).toContain('id="resend-error"');
    expect(unsaid).toContain('<option value="clicked" selected>');
    const first = `(select min(id) from message where broadcast_id = $1)`;
    await t.dataSource.query(`delete from message_attempt where message_id = ${first}`, [id]);
    await t.dataSource.query(
      `update message set state = 'ready', due_at = due_at + interval '9 days' where id = ${first}`,
      [id],
    );
    const waits = (
      await post(`/${id}/resend`, { resendSubject: 'Did you see this?', unless: 'clicked' }).expect(422)
    ).text;
    expect(waits).toContain('One of its mails still waits');
    expect(waits).toContain('when it has gone, or leave that person out');
    expect(waits).toContain('name="leaveOutWaiting"');
    const again = await post(`/${id}/resend`, {
      ...{ resendSubject: 'Did you see this?', unless: 'clicked', leaveOutWaiting: 'on' },
    });
    const draft = again.headers['location']?.split('/').at(-1) ?? '';
    expect(await state(draft)).toMatchObject({
      resendOf: id,
      subject: 'Did you see this?',
      audience: { resendOf: id, unless: 'clicked' },
    });
    expect((await get(`/${draft}/edit`).expect(200)).text).toContain('that is not to be changed here');
    await post(`/${draft}/edit`, { ...FORM, audience: 'everybody' }).expect(303);
    expect(await state(draft)).toMatchObject({ audience: { resendOf: id } });
  });

  it('send once more what nobody knows to have been taken: once, under the same Message-ID, and not while it is paused', async () => {
    const id = await written();
    await post(`/${id}/start`, { when: 'now' }).expect(303);
    for (const job of ['broadcasts.plan', 'delivery.send-due', 'broadcasts.plan'])
      expect(await t.app.get(JobRunner).run(job)).toBe('done');
    const mails: { id: string; header: string; subscriber: string }[] = await t.dataSource
      .query(
        `update message set state = 'unknown', accepted_at = null, unknown_count = 1 where broadcast_id = $1
       returning id, message_id_header as header, subscriber_id as subscriber`,
        [id],
      )
      .then(([rows]: [{ id: string; header: string; subscriber: string }[]]) => rows);
    const [proven, left, plain] = mails;
    await t.dataSource.query('delete from message_attempt where message_id = any($1::bigint[])', [
      mails.map((mail) => mail.id),
    ]);
    await t.dataSource.query('insert into left_by_mail values ($1, now())', [proven?.id]);
    await t.dataSource.query(`update subscriber set status = 'unsubscribed' where id = $1`, [
      left?.subscriber,
    ]);
    const again = () =>
      t.http.post(`/api/v1/broadcasts/${id}/unknown/resend`).set('Authorization', `Bearer ${API_KEY}`);
    const setState = async (value: string): Promise<unknown> =>
      t.dataSource.query('update broadcast set state = $2 where id = $1', [id, value]);
    for (const stopped of ['paused', 'cancelled']) {
      await setState(stopped);
      expect((await again().expect(409)).body).toMatchObject({ code: 'BROADCAST_STATE_CONFLICT' });
      expect((await post(`/${id}/unknown/resend`, {}).expect(422)).text).toContain('Nothing was sent');
      expect((await get(`/${id}`).expect(200)).text).not.toContain('Send them once more');
    }
    await setState('done');
    expect((await get(`/${id}`).expect(200)).text).toContain('Send them once more');
    const pressed = await Promise.all([again(), post(`/${id}/unknown/resend`, {}).expect(303), again()]);
    expect(pressed.map(({ body }) => (body as { resent?: number }).resent ?? 2)).toContain(2);
    expect(await state(id)).toMatchObject({ state: 'running', counts: { ready: 2, unknown: 1 } });
    expect((await again().expect(200)).body).toEqual({ resent: 0 });
    for (const job of ['delivery.send-due', 'broadcasts.plan'])
      expect(await t.app.get(JobRunner).run(job)).toBe('done');
    expect(await state(id)).toMatchObject({ state: 'done', counts: { accepted: 1, unknown: 2 } });
    const copies: unknown[] = await t.dataSource.query(
      `select message_id_header as header, count(*)::int as count from mailbox_mail
       where message_id_header = any($1::text[]) group by 1 having count(*) > 1`,
      [mails.map(({ header }) => header)],
    );
    expect(copies).toEqual([{ header: plain?.header, count: 2 }]);
    const { body } = await t.http
      .get(`/api/v1/messages/${plain?.id}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect((body as { chain: { code: string }[] }).chain.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['RESENT_BY_OWNER', 'ATTEMPT_ACCEPTED', 'ACCEPTED']),
    );
    await t.dataSource.query(`update message set state = 'unknown', unknown_count = 2 where id = $1`, [
      plain?.id,
    ]);
    expect((await again().expect(200)).body).toEqual({ resent: 0 });
    expect((await get(`/${id}`).expect(200)).text).not.toContain('once more</button>');
  });

  it('write a test with hours, a holdout and guard rails, start it on one clock, and tell how it goes', async () => {
    const test = { split: 'on', 'arms.1.at': '20:00', testPercent: '60', waitHours: '4', judge: 'clicks' };
    const care = { holdout: '20', alpha: '0.01', railUnsubscribes: '2' };
    const wrong = await post('', { ...FORM, ...test, testPercent: '90' }).expect(303);
    expect(wrong.headers['location']).toMatch(/^\/admin\/broadcasts\/\d+$/);
    expect((await post('', { ...FORM, ...test, holdout: '40' }).expect(422)).text).toContain(
      '<a href="#holdout">Use a percentage from 1% to 50%',
    );
    const id = await written({ ...test, ...care });
    const draft = (await get(`/${id}`).expect(200)).text;
    expect(draft).toContain('20% are held out and get nothing.');
    expect(draft).toContain('An arm is stopped when it is shown that more than 2% leave.');
    expect((await post(`/${id}/start`, { when: 'now' }).expect(422)).text).toContain('so the day is wanted');
    const day = new Date(t.clock.now().getTime() + 86_400_000).toISOString().slice(0, 10);
    await post(`/${id}/start`, { when: 'at', time: `${day}T09:00`, zone: 'UTC' }).expect(303);
    expect((await get(`/${id}`)).text).toMatch(/09:00 in UTC; arms at their hours of that day/);
    t.clock.set(`${day}T09:00:00Z`);
    await t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
    await t.dataSource.query('update broadcast set stopped_arms = $2 where id = $1', [
      id,
      JSON.stringify([{ arm: 1, rail: 'unsubscribes', rate: 0.06, limit: 0.02, at: `${day}T10:00:00Z` }]),
    ]);
    const { text } = await get(`/${id}`);
    expect(text).toContain('Arm B was stopped: 6.00 % of its readers left, at most 2.00 % are allowed.');
    expect(text).toMatch(/<th scope="row">Held out<\/th>/);
  });

  it.each([
    ['skip', 'do not get it.'],
    ['nextDay', 'get it at the same hour a day later.'],
  ])(
    'say while it is paused what becomes of who is late by that (%s): going on ended its mails without a word before',
    async (ifPassed, words) => {
      const id = await written();
      const day = new Date(t.clock.now().getTime() + 2 * 86_400_000).toISOString().slice(0, 10);
      await post(`/${id}/start`, { when: 'local', time: `${day}T12:00`, zone: 'UTC', ifPassed }).expect(303);
      const late = `Readers whom the pause makes over six hours late ${words}`;
      await post(`/${id}/pause`, {}).expect(303);
      expect((await get(`/${id}`)).text).not.toContain(late);
      await post(`/${id}/resume`, {}).expect(303);
      t.clock.set(`${day}T11:00:00Z`);
      await t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
      expect((await get(`/${id}`)).text).not.toContain(late);
      await post(`/${id}/pause`, {}).expect(303);
      expect((await get(`/${id}`)).text).toContain(`Paused by the owner. ${late}`);
    },
  );
});
