import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

const OWN = 'own@example.com';

let t: TestApp;
let reader: string;
beforeAll(async () => {
  t = await startTestApp();
  const { body } = await api('subscribers', { email: 'grace@example.com', name: 'Grace Hopper' }).expect(201);
  reader = body.id;
  await t.dataSource.query(`update subscriber set status = 'active' where id = $1`, [reader]);
});
afterAll(async () => t.close());

const api = (path: string, body: object) =>
  t.http.post(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
const last = async (to: string) => (await t.mailsTo(to)).at(-1);

describe('a mail could be looked at in no mail program before its readers had it', () => {
  it('of a template, as one subscriber would get it', async () => {
    const wanted = { template: 'emails/story', subscriberId: reader };
    const { body } = await api('templates/test', { ...wanted, to: OWN }).expect(201);
    expect(body).toMatchObject({ to: OWN, subject: expect.stringMatching(/^\[Test\] ./) });
    await t.runDue();
    const preview = await api('templates/preview', wanted).expect(200);
    const mail = await last(OWN);
    expect(mail).toMatchObject({ subject: `[Test] ${preview.body.subject}` });
    expect(mail?.html.replaceAll('\r\n', '\n').trim()).toBe(preview.body.html.trim());
    expect(await t.mailsTo('grace@example.com')).toEqual([]);
    const about = await t.http
      .get(`/api/v1/messages/${body.messageId}`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(about.body).toMatchObject({ state: 'accepted' });
    await api('templates/test', { ...wanted, to: 'nobody' }).expect(422);
  });

  it('of a template before anybody has signed up, as a reader who is made up: somebody had to be there', async () => {
    const { body } = await api('templates/test', { template: 'emails/welcome', to: OWN }).expect(201);
    await t.runDue();
    expect(await last(OWN)).toMatchObject({ subject: body.subject });
    expect((await last(OWN))?.text).toContain('Grace');
    const preview = await api('templates/preview', { template: 'emails/welcome' }).expect(200);
    expect(preview.body.invented).toContain('subscriber');
    const hers = await api('templates/preview', { template: 'emails/welcome', subscriberId: reader }).expect(
      200,
    );
    expect(hers.body.invented).not.toContain('subscriber');
  });

  it('of a broadcast and its arms, as the first reader would get it', async () => {
    const { body: broadcast } = await api('broadcasts', {
      title: 'Spring',
      template: 'emails/story',
      subject: 'For {{ subscriber.firstName }}',
      audience: { everybody: true },
      split: {
        arms: [{}, { subject: 'R&D, {{ subscriber.firstName }}' }],
        testPercent: 50,
        waitMinutes: 120,
        judge: 'clicks',
      },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
    }).expect(201);
    const test = async (arm?: string): Promise<string | undefined> => {
      await api(`broadcasts/${broadcast.id}/test`, { to: OWN, arm }).expect(201);
      await t.runDue();
      return (await last(OWN))?.subject;
    };
    expect(await test()).toBe('[Test] For Grace');
    expect(await test('b')).toBe('[Test] R&D, Grace');
    await api(`broadcasts/${broadcast.id}/test`, { to: OWN, arm: 'c' }).expect(404);
    await api('broadcasts/999999/test', { to: OWN }).expect(404);
  });

  it('and goes to no address that is suppressed', async () => {
    await t.app.get(SuppressionsService, { strict: false }).add(t.dataSource.manager, {
      ...{ emailKey: 'dead@example.com', scope: 'all', reason: 'hard_bounce', source: 'the test' },
    });
    await api('templates/test', {
      template: 'emails/story',
      subscriberId: reader,
      to: 'dead@example.com',
    }).expect(201);
    await t.runDue();
    expect(await t.mailsTo('dead@example.com')).toEqual([]);
  });

  it('and what it says of its reader goes with them, or after a month: it stayed for good', async () => {
    const read = async (email: string): Promise<string> => {
      const { body } = await api('subscribers', { email, name: 'Edith Clarke' }).expect(201);
      await api('templates/test', { template: 'emails/story', subscriberId: body.id, to: OWN }).expect(201);
      await t.runDue();
      expect(await kept()).toBe(true);
      return body.id;
    };
    const kept = async (): Promise<boolean> => {
      const rows: unknown[] = await t.dataSource.query(
        `select 1 from message where data::text like '%Edith%'`,
      );
      return rows.length > 0;
    };
    await t.http
      .delete(`/api/v1/subscribers/${await read('edith@example.com')}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(204);
    expect(await kept()).toBe(false);
    await read('clarke@example.com');
    await t.dataSource.query(`update message set settled_at = settled_at - interval '31 days'`);
    await t.app.get(JobRunner).run('delivery.forget-data');
    expect(await kept()).toBe(false);
  });
});
