import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UndeliverableService } from '../../../src/subscribers/undeliverable.service.js';
import { DataRequestService } from '../../../src/privacy/data-request.service.js';
import { ErasureService } from '../../../src/privacy/erasure.service.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader, type Reader } from '../../support/reader.js';

describe('who gets no mail of any kind and asks for their data', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const givenUp = async (
    email: string,
    why: 'complaint' | 'hard_bounce' | 'soft_bounce',
  ): Promise<Reader> => {
    const reader = await newReader(t, email);
    const { secretKey } = t.app.get<Config>(CONFIG, { strict: false });
    const about = { addressHash: addressHash(secretKey, email), subscriberId: reader.id };
    await t.dataSource.transaction(async (manager) =>
      t.app
        .get(UndeliverableService, { strict: false })
        .giveUp(manager, why, { ...about, source: 'bounce: test' }),
    );
    return reader;
  };
  const asked = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open())
      .map(({ key }) => key)
      .filter((key) => key.startsWith('privacy:unmailable:'));

  it.each(['complaint', 'hard_bounce'] as const)(
    'was told that a link was mailed, which never went (%s): the page says so, and the owner hears of it',
    async (why) => {
      const reader = await givenUp(`${why}@example.com`, why);
      const before = await t.mailsTo(reader.email);
      for (const [path, purpose] of [
        ['export', 'my-data'],
        ['erase', 'erase'],
      ] as const) {
        const page = await t.http.post(`${reader.preferences}/${path}`).expect(200);
        expect(page.text).toContain('no link can go there');
        expect(page.text).toMatch(/<\/strong> gets no mail\./);
        expect(page.text).not.toContain('we sent a link');
        expect(await asked()).toContain(`privacy:unmailable:${purpose}:${reader.id}`);
      }
      await t.runDue();
      expect(await t.mailsTo(reader.email)).toHaveLength(before.length);
      const requests = t.app.get(DataRequestService, { strict: false });
      await requests.endAnswered();
      expect(await asked()).toHaveLength(2);
      await t.app.get(ErasureService, { strict: false }).erase(reader.id, 'api');
      await requests.endAnswered();
      expect(await asked()).toEqual([]);
    },
  );

  it.each([
    ['all', 'gets no mail.', 'the sender must answer within a month'],
    ['marketing', 'gets no newsletters or offers.', 'We mail the link to your address'],
  ])(
    'reads what is true while the owner blocks them (%s): it said "on the list"',
    async (...[scope, ...words]) => {
      const reader = await newReader(t, `blocked-${scope}@example.com`);
      const read = async (): Promise<string> => (await t.http.get(reader.preferences).expect(200)).text;
      expect(await read()).toContain('is on the list.');
      await t.http
        .post('/api/v1/suppressions')
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ email: reader.email, scope })
        .expect(201);
      const page = await read();
      for (const said of words) expect(page).toContain(said);
      expect(page).not.toContain('is on the list.');
      expect(page).not.toMatch(/What you get|A pause/);
      // The block may end, and then their own word counts.
      expect(page).toContain('Stop all of them');
    },
  );

  it('is mailed the link where only marketing ended', async () => {
    const reader = await givenUp('soft@example.com', 'soft_bounce');
    const page = await t.http.post(`${reader.preferences}/erase`).expect(200);
    expect(page.text).toContain('we sent a link');
    await t.runDue();
    expect((await t.mailsTo(reader.email)).at(-1)?.html).toContain('/erase/');
    expect(await asked()).toEqual([]);
  });
});
