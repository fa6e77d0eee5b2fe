import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { signIds } from '../../../src/values/signed-token.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';

describe('a link to preferences of which a restored backup knows neither the mail nor its reader', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const linkOf = (subscriberId: string, messageId: string): string => {
    const { secretKey } = t.app.get<Config>(CONFIG, { strict: false });
    return `/preferences/${signIds(secretKey, 'preferences', [subscriberId, messageId])}`;
  };

  it('does not say "Nothing is kept about you any more" to who leaves by it: they are still on the list', async () => {
    const link = linkOf('777777777', '888888888');
    for (const page of [await t.http.post(`${link}/leave`), await t.http.get(link)]) {
      expect(page.status).toBe(404);
      expect(page.text).toContain('We do not know this mail any more');
      expect(page.text).toContain('Please reply to the mail');
      expect(page.text).not.toContain('Error 404');
    }
  });

  it('takes the address off by the mail where that is known: nothing came of the button', async () => {
    const { id } = await newReader(t, 'merged@example.com');
    const rows: { id: string; hash: Buffer }[] = await t.dataSource.query(
      'select id, address_hash as hash from message where subscriber_id = $1',
      [id],
    );
    const [mail] = rows;
    await t.dataSource.query('update message set subscriber_id = null where subscriber_id = $1', [id]);
    await t.http.post(`${linkOf('777777777', mail?.id ?? '')}/leave`).expect(410);
    const entries: unknown[] = await t.dataSource.query(
      'select scope, source from suppression where email_hash = $1',
      [mail?.hash],
    );
    expect(entries).toEqual([{ scope: 'marketing', source: 'preferences' }]);
  });
});
