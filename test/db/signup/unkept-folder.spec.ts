import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const READER = 'leaver@example.com';

describe('leaving while the database takes nothing, with a data folder that is not kept', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp({ variables: { DATA_DIR_KEPT: 'false' } });
    t.app.useLogger(false);
  });
  afterAll(async () => t.close());

  it('is done as soon as it can be, and told to nobody as done: it was forgotten when the container was replaced', async () => {
    await t.http.post('/p/niches').type('form').send({ email: READER }).expect(200);
    await t.runDue();
    const [asked] = await t.mailsTo(READER);
    await t.http.post(linkIn(asked as TestMail, /\/confirm\//)).expect(200);
    await t.runDue();
    const link = linkIn((await t.mailsTo(READER)).at(-1) as TestMail, /\/u\//);
    await refuseWrites(t.dataSource, '53100', ['suppression']);
    const answers = [
      await t.http.post(link).type('form').send('List-Unsubscribe=One-Click'),
      await t.http.post(link).type('form').send({ from: 'page' }),
    ];
    expect(answers.map(({ status, headers }) => [status, headers['retry-after']])).toEqual([
      [503, '60'],
      [503, '60'],
    ]);
    await takeWrites(t.dataSource);
    expect(await t.app.get(KeptLeavings, { strict: false }).takeUp()).toBe(true);
    expect(await t.dataSource.query('select status from subscriber')).toEqual([{ status: 'unsubscribed' }]);
  });
});
