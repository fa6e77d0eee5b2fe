import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeptSignups } from '../../../src/signup/kept-signups.service.js';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { newReader, preferencesForm } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const MINUTE_MS = 60_000;

let t: TestApp;
let count = 0;
let reader: string;
beforeAll(async () => {
  t = await startTestApp();
  t.app.useLogger(false);
});
afterAll(async () => t.close());
beforeEach(() => {
  reader = `late${++count}@example.com`;
});
afterEach(async () => takeWrites(t.dataSource));

const signUp = () => t.http.post('/p/niches').type('form').send({ email: reader }).expect(200);
/** As while the disk of the database is full. */
const whileFull = async (work: () => Promise<unknown>): Promise<void> => {
  await refuseWrites(t.dataSource, '53100', ['subscriber', 'signup', 'consent_event']);
  await work();
  await takeWrites(t.dataSource);
  t.clock.advance(MINUTE_MS);
};
/** By a process that did not run meanwhile. */
const takeUp = async (): Promise<void> => t.app.get(KeptSignups, { strict: false }).takeUp();
const consents = async (): Promise<unknown[]> =>
  t.dataSource.query(
    `select kind, user_agent as browser from consent_event c join subscriber s on s.id = c.subscriber_id
     where s.email_key = $1 order by c.id`,
    [reader],
  );
const optOuts = async (id: string): Promise<unknown[]> =>
  t.dataSource.query('select topic_key as topic from topic_opt_out where subscriber_id = $1', [id]);

describe('what was pressed while the database took nothing, and comes in late', () => {
  it('is not written of who was erased since and has signed up anew: what was forgotten of them came back', async () => {
    const { id } = await newReader(t, reader);
    await whileFull(async () => signUp().set('user-agent', 'Forgotten/1'));
    await t.http.delete(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`).expect(204);
    t.clock.advance(MINUTE_MS);
    await signUp().set('user-agent', 'Anew/1');
    await takeUp();
    expect(await consents()).toEqual([{ kind: 'granted', browser: 'Anew/1' }]);
  });

  it('brings nobody back to letters that they have left by the page of preferences since', async () => {
    const { id, preferences } = await newReader(t, reader);
    const topic = preferencesForm({ topics: [] });
    t.clock.advance(2 * 86_400_000);
    await signUp();
    await t.runDue();
    const asks = (await t.mailsTo(reader)).findLast(({ html }) => html.includes('/confirm/')) as TestMail;
    await whileFull(async () => t.http.post(linkIn(asks, /\/confirm\//)).expect(200));
    await t.http.post(preferences).type('form').send(topic);
    expect(await optOuts(id)).toHaveLength(1);
    t.clock.advance(MINUTE_MS);
    await takeUp();
    expect(await optOuts(id)).toHaveLength(1);
  });

  it('brings nobody back who had left, asked to come back, and has left once more since', async () => {
    const { id, unsubscribe } = await newReader(t, reader);
    const leave = () => t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    await leave();
    t.clock.advance(2 * 86_400_000);
    await signUp();
    await t.runDue();
    const asks = (await t.mailsTo(reader)).findLast(({ html }) => html.includes('/confirm/')) as TestMail;
    await whileFull(async () => t.http.post(linkIn(asks, /\/confirm\//)).expect(200));
    await leave();
    await leave();
    t.clock.advance(MINUTE_MS);
    await takeUp();
    const rows: unknown[] = await t.dataSource.query('select status from subscriber where id = $1', [id]);
    expect(rows).toEqual([{ status: 'unsubscribed' }]);
    expect(await consents()).toMatchObject(
      ['granted', 'confirmed', 'withdrawn', 'granted', 'withdrawn'].map((kind) => ({ kind })),
    );
  });

  it('asks nobody once more for letters that they have left by the page of preferences since', async () => {
    const { id, preferences } = await newReader(t, reader);
    t.clock.advance(2 * 86_400_000);
    await whileFull(async () => signUp());
    await t.http
      .post(preferences)
      .type('form')
      .send(preferencesForm({ topics: [] }));
    expect(await optOuts(id)).toHaveLength(1);
    const before = (await t.mailsTo(reader)).length;
    t.clock.advance(MINUTE_MS);
    await takeUp();
    await t.runDue();
    const since = (await t.mailsTo(reader)).slice(before);
    expect(since.filter(({ html }) => html.includes('/confirm/'))).toEqual([]);
  });
});
