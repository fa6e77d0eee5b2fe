import { afterAll, beforeAll, expect, it } from 'vitest';
import { doctor } from '../../../../src/commands/doctor.probe.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { KeptSignups } from '../../../../src/signup/kept-signups.service.js';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { refuseWrites, takeWrites } from '../../../support/refused-writes.js';
import { type OwnerPages, ownerPages } from '../../../support/owner-pages.js';

let t: TestApp;
let owner: OwnerPages;
beforeAll(async () => {
  t = await startTestApp();
  t.app.useLogger(false);
  owner = await ownerPages(t);
});
afterAll(async () => t.close());

const page = async (): Promise<string> => owner.get('/admin/sending');
const checked = async (): Promise<unknown> => {
  const config = t.app.get<Config>(CONFIG);
  const checks = await doctor({ ...t, config, migrated: [], close: async () => t.close() });
  return checks.find(({ name }) => name === 'sign-ups');
};

it('the page Sending and doctor say how many sign-ups wait in the data folder: nobody knew of them', async () => {
  await refuseWrites(t.dataSource, '25006', ['subscriber']);
  await t.http.post('/p/niches').type('form').send({ email: 'waits@example.com' }).expect(200);
  expect(await page()).toContain('1 sign-up or confirmation waits in the data folder');
  expect(await checked()).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/^1 came while .*signups/),
  });
  await takeWrites(t.dataSource);
  await t.app.get(KeptSignups, { strict: false }).takeUp();
  expect(await page()).not.toContain('in the data folder');
  expect(await checked()).toMatchObject({ ok: true });
});
