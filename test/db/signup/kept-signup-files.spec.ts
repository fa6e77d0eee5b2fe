import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptSignups } from '../../../src/signup/kept-signups.service.js';
import { SignupHandIn } from '../../../src/signup/signup-hand-in.service.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { LeavingsAlerts } from '../../../src/subscribers/leavings-alerts.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { empty } from '../../support/database.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const MINUTE_MS = 60_000;

let t: TestApp;
let folder: string;
let count = 0;
let reader: string;
beforeAll(async () => {
  t = await startTestApp();
  t.app.useLogger(false);
  folder = join(t.app.get<Config>(CONFIG).dataDir, 'signups');
});
afterAll(async () => t.close());
beforeEach(() => {
  reader = `waits${++count}@example.com`;
});
afterEach(async () => {
  await takeWrites(t.dataSource);
  await t.dataSource.query('update form set archived_at = null');
  await rm(folder, { recursive: true, force: true });
  await empty(t.dataSource, 'alert');
});

/** As while the disk of the database is full. */
const keeps = async (email = reader): Promise<void> => {
  await refuseWrites(t.dataSource, '53100', ['subscriber']);
  await t.http.post('/p/niches').type('form').send({ email }).expect(200);
  await takeWrites(t.dataSource);
};
const kept = async (): Promise<string[]> =>
  (await readdir(folder).catch(() => [])).filter((name) => !name.endsWith('.folder'));
/** As another process would be on that folder. */
const anotherProcess = (): KeptSignups => {
  const find = <T>(service: abstract new (...args: never[]) => T): T => t.app.get(service, { strict: false });
  const said = new LeavingsAlerts(find(AlertsService), t.clock);
  return new KeptSignups(
    ...([find(KeptLeavings), find(GenerationGuard), find(SignupHandIn), said] as const),
    ...([t.app.get<Config>(CONFIG), t.clock] as const),
  );
};
const takeUp = async (): Promise<void> => t.app.get(KeptSignups, { strict: false }).takeUp();
const formIsGone = async (): Promise<void> => {
  await t.dataSource.query('update form set archived_at = now()');
};
const openAlerts = async (): Promise<string[]> => {
  const rows: { key: string }[] = await t.dataSource.query(
    'select key from alert where resolved_at is null order by key',
  );
  // Behind it is the name of the folder.
  return rows.map(({ key }) => key.replace(/:[0-9a-f-]{36}\.folder$/, ''));
};

describe('what is said of sign-ups that wait on disk', () => {
  it('stands when another process starts on their folder, or on an empty one at the same path: the alert was closed for up to an hour', async () => {
    await keeps();
    await formIsGone();
    await takeUp();
    t.clock.advance(MINUTE_MS);
    await takeUp();
    const starts = async (): Promise<unknown[]> => {
      await anotherProcess().takeUp();
      return openAlerts();
    };
    expect(await starts()).toEqual(['signups:waiting']);
    await rename(folder, `${folder}-elsewhere`);
    expect(await starts()).toEqual(['signups:waiting']);
    t.clock.advance(3 * 60 * MINUTE_MS);
    // Nobody has spoken of that folder for hours.
    expect(await starts()).toEqual([]);
    await rm(`${folder}-elsewhere`, { recursive: true });
  });
});
