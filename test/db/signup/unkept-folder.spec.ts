import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
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
});
