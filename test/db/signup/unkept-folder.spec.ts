import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const READER = 'leaver@example.com';

describe('while the database takes nothing, a data folder that is not kept', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp({ variables: { DATA_DIR_KEPT: 'false' } });
    t.app.useLogger(false);
  });
  afterAll(async () => t.close());

  it('has who leaves done as soon as it can be, and told to nobody as done: it was forgotten when the container was replaced', async () => {
    const { unsubscribe: link } = await newReader(t, READER);
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

  it('has who signs up try again, as what is kept may be gone', async () => {
    await refuseWrites(t.dataSource, '53100', ['subscriber']);
    const answer = await t.http.post('/p/niches').type('form').send({ email: 'comes@example.com' });
    await takeWrites(t.dataSource);
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60']);
  });
});
