import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoService } from '../../../../src/funnels/demo.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../../support/app.js';
import { type OwnerPages, ownerPages } from '../../../support/owner-pages.js';
import { newReader } from '../../../support/reader.js';

const HOUR_MS = 3_600_000;
const KEY = 'niche-ebook';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const api = (method: 'get' | 'post' | 'put', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const archive = (people?: string) =>
  api('post', `funnels/${KEY}/archive`).send(people === undefined ? {} : { people });
const unarchive = () => api('post', `funnels/${KEY}/unarchive`);
const end = async () => t.app.get(JobRunner).run('sequences.end-closed');
const enrollment = async (id: string): Promise<unknown[]> =>
  t.dataSource.query('select status, exit_reason as why from enrollment where subscriber_id = $1', [id]);
const keys = async (query = ''): Promise<string[]> =>
  ((await api('get', `funnels${query}`).expect(200)).body.data as { key: string }[]).map(({ key }) => key);
const buys = async (email: string) =>
  t.http.post('/checkout/launch-kit').type('form').send({ email, name: 'Bea Buyer' });

describe('a funnel that its owner archives', () => {
  it('closes its pages, ends who is in it with a reason that is told, and keeps its figures and what was bought', async () => {
    const reader = await newReader(t, 'in-it@example.com');
    const placed = await buys('buyer@example.com');
    const pay = String(placed.headers['location']).replace(/^https?:\/\/[^/]+/, '');
    await t.http.post(pay).type('form').send({ outcome: 'paid' }).expect(303);
    await t.runDue();
    const receipt = (await t.mailsTo('buyer@example.com')).at(-1);
    const download = linkIn(receipt as NonNullable<typeof receipt>, /\/download\//);
    // One more mail waits when it is archived.
    t.clock.advance(49 * HOUR_MS);
    await t.app.get(JobRunner).run('sequences.advance-due');
    const before = (await api('get', `analytics/funnels/${KEY}`).expect(200)).body as object;

    const { body } = await archive().expect(200);
    expect(body).toMatchObject({ key: KEY, peopleAfter: 'end', archivedAt: expect.any(String) as string });
    await archive('finish').expect(200);
    await end();
    expect(await enrollment(reader.id)).toEqual([{ status: 'exited', why: 'funnel archived' }]);
    await t.runDue();
    expect((await t.mailsTo(reader.email)).at(-1)?.id).toBe(reader.welcome.id);
    const mails = await t.dataSource.query(
      `select id, state, state_reason as why from message where subscriber_id = $1 and kind = 'sequence' order by id desc limit 1`,
      [reader.id],
    );
    expect(mails).toMatchObject([{ state: 'cancelled', why: 'funnel archived' }]);
    const why = await api('get', `messages/${mails[0].id}/explain`).expect(200);
    expect(JSON.stringify(why.body)).toContain('The owner archived the funnel');

    const page = await t.http.get('/p/niches').expect(410);
    expect(page.text).toContain('This page is closed');
    expect(page.text).toContain('12 Mill Lane');
    expect(page.text).not.toContain('Error 410');
    await t.http.post('/p/niches').type('form').send({ email: 'new@example.com' }).expect(410);
    const form = await t.http.post('/api/public/forms/niches').send({ email: 'new@example.com' }).expect(410);
    expect(form.body.code).toBe('FORM_GONE');
    await t.http.get('/f/niches.js').expect(410);
    expect((await buys('late@example.com')).status).toBeGreaterThanOrEqual(400);
    expect((await t.http.get('/offer/launch-kit')).text).not.toContain('action="/checkout/launch-kit"');
    await t.http.get(download).expect((answer) => expect(answer.status).toBeLessThan(400));
    await t.http.get('/a/nobody?to=/p/niches').expect(302).expect('location', '/');

    expect([await keys(), await keys('?archived=true')]).toEqual([[], [KEY]]);
    const after = (await api('get', `analytics/funnels/${KEY}`).expect(200)).body as object;
    expect(after).toEqual(before);
    expect(await owner.get('/admin/funnels')).toContain('Archived');
    expect(await owner.get(`/admin/funnels/${KEY}`)).toContain('Bring it back');
  });

  it('lets nobody in, by hand or by an event, and comes back by no file and no start', async () => {
    const [{ id }]: [{ id: string }] = await t.dataSource.query('select id from sequence where key = $1', [
      KEY,
    ]);
    const [person]: [{ id: string }] = await t.dataSource
      .query(`update subscriber set status = 'active' where email_key = 'buyer@example.com' returning id`)
      .then(([rows]: [[{ id: string }], number]) => rows);
    const refused = await api('post', `sequences/${id}/enrollments`)
      .send({ subscriberId: person.id })
      .expect(409);
    expect(refused.body.code).toBe('SEQUENCE_CLOSED_CONFLICT');
    const yaml = await readFile('config/funnels/niche-ebook.yaml', 'utf8');
    for (const dryRun of [true, false]) {
      const kept = await api('put', `funnels/${KEY}`).send({ yaml, dryRun }).expect(409);
      expect(kept.body.code).toBe('FUNNEL_ARCHIVED_CONFLICT');
    }
    expect(await t.app.get(DemoService).applyAll()).toEqual([]);
    await t.http.get('/p/niches').expect(410);
  });

  it('is as it was when it is brought back, but for who was ended', async () => {
    await unarchive().expect(200);
    await unarchive().expect(200);
    await t.http.get('/p/niches').expect(200);
    expect(await keys()).toEqual([KEY]);
    const reader = await newReader(t, 'again@example.com');
    expect(await enrollment(reader.id)).toEqual([{ status: 'active', why: null }]);
    expect((await buys('again@example.com')).status).toBe(303);
    const [{ ended }]: [{ ended: number }] = await t.dataSource.query(
      `select count(*)::int as ended from enrollment where exit_reason = 'funnel archived'`,
    );
    expect(ended).toBe(1);
  });

  it('lets who is in it go on to its end where the owner says so, with its offers, until they are ended, too', async () => {
    const reader = await newReader(t, 'finishes@example.com');
    await owner.post(`/admin/funnels/${KEY}/archive`, { people: 'finish' }).expect(303);
    await end();
    expect(await enrollment(reader.id)).toEqual([{ status: 'active', why: null }]);
    await t.http.get('/p/niches').expect(410);
    expect((await buys('finishes@example.com')).status).toBe(303);
    t.clock.advance(49 * HOUR_MS);
    await t.runDue();
    expect((await t.mailsTo(reader.email)).at(-1)?.id).not.toBe(reader.welcome.id);
    expect(/Archived since.*\n.*/.exec(await owner.get(`/admin/funnels/${KEY}`))?.[0]).toContain(
      'Who is in it goes on',
    );
    await archive('end').expect(200);
    await end();
    expect(await enrollment(reader.id)).toEqual([{ status: 'exited', why: 'funnel archived' }]);
    expect((await buys('finishes@example.com')).status).not.toBe(303);
  });

  it('comes back by a file that says so, or gives its form and offers to a funnel of another key', async () => {
    const yaml = (await api('get', `funnels/${KEY}/export`).expect(200)).text;
    const renamed = yaml.replace(`funnel: ${KEY}`, 'funnel: niches-that-pay');
    const put = await api('put', 'funnels/niches-that-pay').send({ yaml: renamed });
    expect([put.status, put.body.detail]).toEqual([200, undefined]);
    await t.http.get('/p/niches').expect(200);
    const taken = await unarchive().expect(409);
    expect(taken.body).toMatchObject({
      code: 'FUNNEL_UNARCHIVE_CONFLICT',
      facts: { kind: 'form', name: 'niches' },
    });
    const page = await owner.post(`/admin/funnels/${KEY}/unarchive`, {}).expect(409);
    expect(page.text).toContain('belongs to another funnel by now');

    await api('post', 'funnels/niches-that-pay/archive').send({ people: 'end' }).expect(200);
    const back = await api('put', 'funnels/niches-that-pay')
      .send({ yaml: renamed, unarchive: true })
      .expect(200);
    expect(back.body.words).toContain('the funnel niches-that-pay comes back from the archive');
    await t.http.get('/p/niches').expect(200);
    expect([await keys(), await keys('?archived=true')]).toEqual([['niches-that-pay'], [KEY]]);
    await api('post', 'funnels/none/archive').send({}).expect(404);
  });

  it('names the funnels whose steps move people there: they joined nothing, and nobody was told', async () => {
    const yaml = `funnel: taster
title: A taste
sender: { name: Ada Winters, email: ada@example.com, postalAddress: '12 Mill Lane, Springfield' }
form: { slug: taste, headline: A taste, button: Taste it, consent: Send me the taste. }
sequence:
  steps:
    - { key: first, email: emails/story }
    - { key: onward, move: niches-that-pay, delay: 1 day }
`;
    const put = await api('put', 'funnels/taster').send({ yaml });
    expect([put.status, put.body.detail]).toEqual([200, undefined]);
    const page = await owner.get('/admin/funnels/niches-that-pay/archive');
    expect(page).toContain('a step there moves people to this sequence');
    expect(page).toContain('href="/admin/funnels/taster"');
    expect(await owner.get('/admin/funnels/taster/archive')).not.toContain('a step there moves people');
  });
});
