import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';

const DAY_MS = 86_400_000;
const READER = 'reader@example.com';

describe('who left and comes back by the form of a sequence that nobody joins twice', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t?.close());

  const confirms = async (): Promise<string> => {
    await t.dataSource.query('delete from rate_limit');
    await t.http.post('/p/niches').type('form').send({ email: READER }).expect(200);
    await t.runDue();
    const asking = (await t.mailsTo(READER)).findLast(({ html }) => html.includes('/confirm/'));
    return (await t.http.post(linkIn(asking as TestMail, /\/confirm\//)).expect(200)).text;
  };

  it('is not told of a mail that has just been sent: none comes', async () => {
    expect(await confirms()).toContain('The same link is in the mail we have just sent you');
    await t.runDue();
    const welcome = (await t.mailsTo(READER)).at(-1) as TestMail;
    await t.http
      .post(linkIn(welcome, /\/u\//))
      .type('form')
      .send({ 'List-Unsubscribe': 'One-Click' })
      .expect(200);
    t.clock.advance(2 * DAY_MS);
    const before = (await t.mailsTo(READER)).length;
    const page = await confirms();
    expect(page).toContain('Download');
    expect(page).not.toMatch(/just sent|on its way/);
    await t.runDue();
    // The one that asks.
    expect(await t.mailsTo(READER)).toHaveLength(before + 1);
  });
});
