import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptSignups } from '../../../src/signup/kept-signups.service.js';
import { SignupHandIn } from '../../../src/signup/signup-hand-in.service.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { LeavingsAlerts } from '../../../src/subscribers/leavings-alerts.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { empty } from '../../support/database.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

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
const isKnown = async (): Promise<boolean> =>
  (await t.dataSource.query<unknown[]>('select 1 from subscriber where email_key = $1', [reader])).length ===
  1;
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

it('who tries again and again while the disk does not take it either is never told that a mail comes: they were the sixth time, and nothing was kept', async () => {
  await writeFile(folder, '');
  await refuseWrites(t.dataSource, '53100', ['subscriber']);
  const tries: number[] = [];
  for (let n = 0; n < 7; n++)
    tries.push((await t.http.post('/p/niches').type('form').send({ email: reader })).status);
  await rm(folder);
  tries.push((await t.http.post('/p/niches').type('form').send({ email: reader })).status);
  await takeWrites(t.dataSource);
  expect(tries).toEqual([503, 503, 503, 503, 503, 503, 503, 200]);
  await takeUp();
  expect([await kept(), await isKnown()]).toEqual([[], true]);
});

describe('the file of a sign-up', () => {
  it('that waits for its form goes when the person is erased, in the folder of each process: it stayed for a week', async () => {
    const { id } = await newReader(t, reader);
    await keeps();
    await formIsGone();
    const other = anotherProcess();
    await other.takeUp();
    expect((await kept()).length).toBe(1);
    await t.http.delete(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`).expect(204);
    t.clock.advance(MINUTE_MS);
    await other.takeUp();
    expect([await kept(), await openAlerts()]).toEqual([[], []]);
  });

  it('that the disk does not give keeps no other one back: all were read at each look before the first was tried', async () => {
    await keeps(`other-${reader}`);
    const [other = ''] = await kept();
    await rm(join(folder, other));
    await mkdir(join(folder, other));
    await keeps();
    await takeUp();
    expect([await isKnown(), await kept()]).toEqual([true, [other]]);
    t.clock.advance(MINUTE_MS);
    await takeUp();
    expect(await openAlerts()).toEqual(['signups:waiting']);
  });

  it('that waits for its form is tried more and more rarely: each of thousands was tried every minute for a week', async () => {
    await keeps();
    await formIsGone();
    const triedAfter = async (minutes: number): Promise<boolean> => {
      t.clock.advance(minutes * MINUTE_MS);
      await t.dataSource.query('update form set archived_at = null');
      await takeUp();
      if (await isKnown()) return true;
      await formIsGone();
      return false;
    };
    await takeUp();
    t.clock.advance(MINUTE_MS);
    await takeUp();
    expect([await triedAfter(1), await triedAfter(1)]).toEqual([false, true]);

    reader = `rarely-${reader}`;
    await keeps();
    await formIsGone();
    for (const minutes of [0, 1, 2, 4, 8, 15, 15]) {
      t.clock.advance(minutes * MINUTE_MS);
      await takeUp();
    }
    expect([await triedAfter(14), await triedAfter(1)]).toEqual([false, true]);
  });

  it('that waits for its form goes in at once where its person has pressed anew since: it waited for up to a quarter of an hour', async () => {
    await keeps();
    await formIsGone();
    for (const minutes of [0, 1, 2, 4]) {
      t.clock.advance(minutes * MINUTE_MS);
      await takeUp();
    }
    await t.dataSource.query('update form set archived_at = null');
    await keeps();
    await takeUp();
    expect([await isKnown(), await kept()]).toEqual([true, []]);
  });

  it('that cannot be read is told of, and goes after a week: it stayed for ever, and nobody knew', async () => {
    await keeps();
    const broken = `${'0'.repeat(64)}.json`;
    await writeFile(join(folder, broken), `{"kind":"signup","email":"${reader}`);
    await takeUp();
    await takeUp();
    expect([await kept(), await openAlerts()]).toEqual([[`${broken}.failed`], ['signups:failed']]);
    t.clock.advance(7 * DAY_MS - MINUTE_MS);
    await takeUp();
    expect([await kept(), await openAlerts()]).toEqual([[`${broken}.failed`], ['signups:failed']]);
    t.clock.advance(MINUTE_MS);
    await takeUp();
    expect([await kept(), await openAlerts()]).toEqual([[], []]);
  });

  it('that cannot be read is told of no longer when the owner has deleted it', async () => {
    await keeps();
    const broken = `${'0'.repeat(64)}.json`;
    await writeFile(join(folder, broken), '');
    await takeUp();
    await takeUp();
    await rm(join(folder, `${broken}.failed`));
    await takeUp();
    expect(await openAlerts()).toEqual([]);
  });
});

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
