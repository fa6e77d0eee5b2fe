import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { doctor } from '../../../../src/commands/doctor.probe.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { newReader } from '../../../support/reader.js';
import { type OwnerPages, ownerPages } from '../../../support/owner-pages.js';

const WEEK_MS = 7 * 86_400_000;
const MINUTE_MS = 60_000;

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  owner = await ownerPages(t);
});
afterAll(async () => t.close());
beforeEach(async () => {
  await t.dataSource.query('delete from leavings_keeper');
});

/** A machine ended without a word; mails of lists have waited for it for so long. */
const silentFor = async (ms: number): Promise<unknown> =>
  t.dataSource.query(
    `insert into leavings_keeper (process, folder, place, good_until, held_ms)
     values (gen_random_uuid(), 'gone', 'gone.example:/data/leavings', clock_timestamp() - interval '1 hour', $1)`,
    [ms],
  );
const page = async (): Promise<string> => owner.get('/admin/sending');
const api = (method: 'get' | 'post', path: string) =>
  t.http[method](`/api/v1/sending/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const told = async (): Promise<string | undefined> => {
  const rows: { message: string }[] = await t.dataSource.query(
    `select message from alert where key = 'leavings:silent' and resolved_at is null`,
  );
  return rows[0]?.message;
};

it('the owner ends the wait for a machine that is gone for good: mails of lists stood still for an hour, under “mails may go out”', async () => {
  const { email } = await newReader(t, 'reader@example.com');
  const own = (await t.mailsTo(email)).length;
  await silentFor(10 * MINUTE_MS);
  t.clock.advance(WEEK_MS);
  await t.runDue();
  expect((await t.mailsTo(email)).length).toBe(own);
  expect(await told()).toContain('say so on the page Sending');
  const html = await page();
  expect(html).toContain('mails of lists wait');
  expect(html).toContain('gone.example:/data/leavings');
  expect(html).not.toContain('mails may go out');
  await t.http.post('/admin/sending/silent-keepers/forget').type('form').expect(303);
  expect(await page()).toContain('mails of lists wait');
  await owner.post('/admin/sending/silent-keepers/forget', {}).expect(303);
  expect(await page()).toContain('mails may go out');
  await t.runDue();
  expect((await t.mailsTo(email)).length).toBe(own + 1);
  expect(await told()).toBeUndefined();
});

it('the API tells of it and ends it; one that was silent for a moment is waited for on', async () => {
  await silentFor(10 * MINUTE_MS);
  await silentFor(1_000);
  const { silentKeepers } = (await api('get', 'state').expect(200)).body;
  expect(silentKeepers).toEqual([
    {
      place: 'gone.example:/data/leavings',
      until: new Date(t.clock.now().getTime() + 50 * MINUTE_MS).toISOString(),
    },
  ]);
  expect((await api('post', 'silent-keepers/forget').expect(200)).body).toEqual({ forgotten: 1 });
  expect((await api('get', 'state').expect(200)).body.silentKeepers).toEqual([]);
  expect(await t.dataSource.query('select held_ms from leavings_keeper')).toEqual([{ held_ms: 1_000 }]);
});

it('doctor tells of it', async () => {
  const config = t.app.get<Config>(CONFIG);
  const check = async (): Promise<unknown> =>
    (await doctor({ ...t, config, migrated: [], close: async () => t.close() })).find(
      ({ name }) => name === 'leavings',
    );
  expect(await check()).toMatchObject({ ok: true });
  await silentFor(70 * MINUTE_MS);
  expect(await check()).toMatchObject({ ok: false, detail: expect.stringContaining('go on without it') });
});
