import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptSignups } from '../../../src/signup/kept-signups.service.js';
import { SignupLimits } from '../../../src/signup/signup-limits.service.js';
import { API_KEY, linkIn, type TestApp, type TestMail } from '../../support/app.js';
import { empty } from '../../support/database.js';
import type { DatabaseFront } from '../../support/database-front.js';
import { type FrontedApp, startFrontedApp } from '../../support/fronted-app.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

let fronted: FrontedApp;
let front: DatabaseFront;
let t: TestApp;
let folder: string;
let count = 0;
let reader: string;
beforeAll(async () => {
  fronted = await startFrontedApp();
  ({ t, front } = fronted);
  folder = join(t.app.get<Config>(CONFIG).dataDir, 'signups');
  await t.http.get('/p/niches').expect(200);
});
afterAll(async () => fronted.close());
beforeEach(() => {
  reader = `comes${++count}@example.com`;
});
afterEach(async () => {
  await takeWrites(t.dataSource);
  await t.dataSource.query(`update form set archived_at = null, opt_in = 'double'`);
  await rm(folder, { recursive: true, force: true });
  await empty(t.dataSource, 'alert');
});

const signUp = (fields: object = {}) =>
  t.http
    .post('/p/niches')
    .type('form')
    .send({ email: reader, ...fields });
const embedded = (fields: object = {}) =>
  t.http.post('/api/public/forms/niches').send({ email: reader, ...fields });
const kept = async (): Promise<string[]> =>
  (await readdir(folder).catch(() => [])).filter((name) => !name.endsWith('.folder'));
const takeUp = async (): Promise<void> => t.app.get(KeptSignups, { strict: false }).takeUp();
const away = async <T>(work: () => Promise<T>): Promise<T> => {
  await front.close();
  try {
    return await work();
  } finally {
    await front.open();
  }
};
const rows = async (sql: string): Promise<Record<string, unknown>[]> =>
  t.dataSource.query(sql.replaceAll('$person', `(select id from subscriber where email_key = '${reader}')`));
const status = async (): Promise<unknown> =>
  (await rows('select status from subscriber where id = $person'))[0]?.['status'];
const asked = async (): Promise<number> => {
  await t.runDue();
  return (await t.mailsTo(reader)).filter(({ html }) => html.includes('/confirm/')).length;
};
const openAlerts = async (): Promise<unknown[]> =>
  (await rows(`select key from alert where resolved_at is null order by key`)).map(({ key }) =>
    // Behind it is the name of the folder.
    String(key).replace(/:[0-9a-f-]{36}\.folder$/, ''),
  );

describe('who signs up while the database is away', () => {
  it('is told that a mail comes, and gets it when the database is back: they were turned away and lost', async () => {
    const pressedAt = t.clock.now();
    const page = await away(async () =>
      signUp({ name: 'Ada', timeZone: 'Europe/Vienna' }).set('user-agent', 'Browser/1'),
    );
    expect([page.status, await kept()]).toEqual([200, [expect.stringMatching(/\.json$/)]]);
    expect(page.text).toContain(`You will get a mail shortly at <strong class="break">${reader}</strong>`);
    t.clock.advance(10 * MINUTE_MS);
    await takeUp();
    expect([await status(), await kept(), await asked()]).toEqual(['pending', [], 1]);
    expect(await rows('select name, time_zone from subscriber where id = $person')).toEqual([
      { name: 'Ada', time_zone: 'Europe/Vienna' },
    ]);
    const evidence = await rows('select * from consent_event where subscriber_id = $person');
    expect(evidence).toMatchObject([
      {
        kind: 'granted',
        at: pressedAt,
        user_agent: 'Browser/1',
        form_slug: 'niches',
        ip: expect.stringContaining('127.0.0.1'),
      },
    ]);
    expect(String(evidence[0]?.['consent_text'])).not.toBe('null');
    expect(
      await rows(
        `select class from visit where at = '${pressedAt.toISOString()}' and user_agent = 'Browser/1'`,
      ),
    ).toHaveLength(1);
  });

  it('by the embedded form or by API is kept in the same way', async () => {
    const answer = await away(async () => embedded());
    expect([answer.status, answer.body]).toEqual([202, { status: 'check_inbox', delayed: true }]);
    await takeUp();
    expect([await status(), await asked()]).toEqual(['pending', 1]);
  });

  it('is on the list where the form asks no confirmation', async () => {
    await t.dataSource.query(`update form set opt_in = 'single'`);
    await t.http.get('/p/niches').expect(200);
    const page = await away(async () => signUp());
    expect(page.text).toContain('You will get a mail shortly');
    await takeUp();
    expect(await status()).toBe('active');
    expect(
      await rows(
        `select kind from consent_event where subscriber_id = $person and purpose = 'marketing' order by id`,
      ),
    ).toEqual([{ kind: 'granted' }, { kind: 'confirmed' }]);
  });

  it('is one, who presses twice, and one where what was handed in is handed in once more, as after a crash', async () => {
    await away(async () => [await signUp(), await embedded()]);
    const [name = ''] = await kept();
    const file = await readFile(join(folder, name), 'utf8');
    expect((await kept()).length).toBe(1);
    await takeUp();
    await writeFile(join(folder, name), file);
    await takeUp();
    expect([await kept(), await asked()]).toEqual([[], 1]);
    expect(await rows(`select 1 from consent_event where subscriber_id = $person`)).toHaveLength(1);
  });

  it('and was stored, though the answer of the database was lost, is there once', async () => {
    await refuseWrites(t.dataSource, '25006', ['visit']);
    const page = await signUp();
    expect([page.status, (await kept()).length, await status()]).toEqual([200, 1, 'pending']);
    await takeWrites(t.dataSource);
    await takeUp();
    expect([await kept(), await asked()]).toEqual([[], 1]);
    expect(await rows(`select 1 from consent_event where subscriber_id = $person`)).toHaveLength(1);
  });

  it.each(['53100', '25006'])('or takes no writes (%s) is kept', async (code) => {
    await refuseWrites(t.dataSource, code, ['subscriber', 'rate_limit']);
    expect([(await signUp()).status, (await kept()).length]).toEqual([200, 1]);
    await takeUp();
    expect((await kept()).length).toBe(1);
    await takeWrites(t.dataSource);
    await takeUp();
    expect([await status(), await kept()]).toEqual(['pending', []]);
  });

  it('fills in the trap, or is faster than a person can be, and is not kept', async () => {
    const page = await away(async () => signUp({ website: 'https://example.com' }));
    expect([page.status, await kept()]).toEqual([200, []]);
  });

  it('with one mailbox again and again has the same answer, and is written down five times an hour at most', async () => {
    const codes = await away(async () => {
      const found: number[] = [];
      for (let n = 0; n < 7; n++) found.push((await signUp().set('user-agent', `Browser/${n}`)).status);
      return found;
    });
    expect([codes, (await kept()).length]).toEqual([Array(7).fill(200), 5]);
  });

  it('is turned away where the disk does not take it either', async () => {
    await writeFile(folder, '');
    const [page, api] = await away(async () => [await signUp(), await embedded()]);
    for (const answer of [page, api])
      expect([answer?.status, answer?.headers['retry-after']]).toEqual([503, '60']);
  });

  it('is not told that a mail comes while no more mailboxes can be counted: it was, and nothing was kept', async () => {
    const page = await away(async () => {
      await signUp({ email: `first-${reader}` }).expect(200);
      const limits = t.app.get(SignupLimits, { strict: false });
      for (let n = 0; n < 10_000; n++)
        await limits.takeHere({
          ip: `198.${n >> 8}.${n & 255}.1`,
          emailKey: `flood${n}@example.com`,
          hasToken: true,
        });
      return signUp();
    });
    t.clock.advance(DAY_MS);
    expect([page.status, page.headers['retry-after'], (await kept()).length]).toEqual([429, '60', 1]);
  });

  it('and presses once more is kept where there is room for nobody else: they were turned away, and each such press took a place', async () => {
    const codes = await away(async () => {
      await signUp().expect(200);
      for (let n = 1; n < 9_999; n++)
        await writeFile(join(folder, `${n.toString(16).padStart(64, '0')}.json`), '');
      await takeUp();
      // At once, too: each found the room that was left.
      const others = await Promise.all([1, 2, 3].map(async (n) => signUp({ email: `other${n}-${reader}` })));
      return [...others.map(({ status: code }) => code).toSorted((a, b) => a - b), (await signUp()).status];
    });
    await rm(folder, { recursive: true });
    await takeUp();
    expect(codes).toEqual([200, 503, 503, 200]);
  });

  it('with more than a form holds is turned away', async () => {
    const page = await away(async () =>
      signUp({ email: reader }).set('cookie', `ws_referral=${'x'.repeat(9_000)}`),
    );
    expect([page.status, await kept()]).toEqual([503, []]);
  });
});

describe('who presses the button that confirms while the database is away', () => {
  const link = async (): Promise<string> => {
    await signUp().expect(200);
    await t.runDue();
    return linkIn((await t.mailsTo(reader)).at(-1) as TestMail, /\/confirm\//);
  };

  it('is on the list when it is back, with the time of the press: they saw an error, and had to come once more', async () => {
    const button = await link();
    t.clock.advance(MINUTE_MS);
    const pressedAt = t.clock.now();
    const [page, done] = await away(async () => [await t.http.get(button), await t.http.post(button)]);
    expect(page?.text).toContain(`<form method="post" action="${button}">`);
    expect([done?.status, done?.text.includes('You will get a mail shortly')]).toEqual([200, true]);
    expect([await status(), (await kept()).length]).toEqual(['pending', 1]);
    t.clock.advance(MINUTE_MS);
    await takeUp();
    await t.runDue();
    expect([await status(), await kept(), (await t.mailsTo(reader)).length]).toEqual(['active', [], 2]);
    expect(
      await rows(`select at from consent_event where subscriber_id = $person and kind = 'confirmed'`),
    ).toEqual([{ at: pressedAt }]);
  });

  it('is not told so by a link that we did not write', async () => {
    const forged = (await link()).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    const codes = await away(async () => [
      (await t.http.get(forged)).status,
      (await t.http.post(forged)).status,
    ]);
    expect([codes, await kept()]).toEqual([[404, 404], []]);
  });

  it('and leaves after it has left', async () => {
    const { unsubscribe } = await newReader(t, reader);
    const button = linkIn((await t.mailsTo(reader))[0] as TestMail, /\/confirm\//);
    await away(async () => {
      await t.http.post(button).expect(200);
      t.clock.advance(MINUTE_MS);
      await t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    });
    await takeUp();
    expect([await status(), await kept()]).toEqual(['unsubscribed', []]);
  });
});

describe('a sign-up that was kept', () => {
  it('comes behind a leaving that was kept before it: who came back stays', async () => {
    const { unsubscribe, email } = await newReader(t, reader);
    await away(async () => {
      await t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
      t.clock.advance(MINUTE_MS);
      await signUp().expect(200);
    });
    t.clock.advance(DAY_MS);
    await takeUp();
    expect(await status()).toBe('unsubscribed');
    await t.runDue();
    const { html = '' } = (await t.mailsTo(email)).at(-1) ?? {};
    const [, link = ''] = /href="[^"]*(\/confirm\/[^"]+)"/.exec(html) ?? [];
    await t.http.post(link).expect(200);
    expect(await status()).toBe('active');
  });

  it.each([
    [
      'before a leaving does not bring back who has left since: signed up, confirmed and left in one outage',
      false,
    ],
    ['nor who had left before as well', true],
  ])('%s', async (_, hadLeft) => {
    const { unsubscribe } = await newReader(t, reader);
    const leave = () => t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    if (hadLeft) await leave();
    const button = linkIn((await t.mailsTo(reader))[0] as TestMail, /\/confirm\//);
    t.clock.advance(2 * DAY_MS);
    await away(async () => {
      await signUp().expect(200);
      t.clock.advance(MINUTE_MS);
      await t.http.post(button).expect(200);
      t.clock.advance(MINUTE_MS);
      await leave();
    });
    t.clock.advance(MINUTE_MS);
    const before = await asked();
    await takeUp();
    expect([await status(), await kept(), await asked()]).toEqual(['unsubscribed', [], before]);
  });

  it('is not done for somebody who was erased since', async () => {
    const { id } = await newReader(t, reader);
    await away(async () => signUp().expect(200));
    await t.http.delete(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`).expect(204);
    await takeUp();
    expect([await status(), await kept()]).toEqual([undefined, []]);
  });

  it('waits for its form, of which the owner is told, and is given up after a week', async () => {
    await away(async () => signUp().expect(200));
    await t.dataSource.query('update form set archived_at = now()');
    await takeUp();
    expect([(await kept()).length, await openAlerts()]).toEqual([1, []]);
    t.clock.advance(MINUTE_MS);
    await takeUp();
    expect(await openAlerts()).toEqual(['signups:waiting']);
    await t.dataSource.query('update form set archived_at = null');
    t.clock.advance(2 * MINUTE_MS);
    await takeUp();
    await takeUp();
    expect([await status(), await kept(), await openAlerts()]).toEqual(['pending', [], []]);

    reader = `late-${reader}`;
    await t.http.get('/p/niches').expect(200);
    await away(async () => signUp().expect(200));
    await t.dataSource.query('update form set archived_at = now()');
    t.clock.advance(7 * DAY_MS);
    await takeUp();
    expect([await kept(), await status()]).toEqual([[], undefined]);
  });

  it('waits while a restored backup waits for the owner', async () => {
    await t.runDue();
    await away(async () => signUp().expect(200));
    // As the ledger of a backup: the data folder knows of more.
    await t.dataSource.query(
      `update setting set value = jsonb_set(value, '{counter}', '-1') where key = 'ledger.generation'`,
    );
    await takeUp();
    expect([(await kept()).length, await status()]).toEqual([1, undefined]);
    await t.http
      .post('/api/v1/sending/confirm')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ unsent: 'keep' })
      .expect((answer) => expect(answer.status).toBeLessThan(300));
    await takeUp();
    expect([await kept(), await status()]).toEqual([[], 'pending']);
  });

  it('that is broken is put aside, and the others are done', async () => {
    await away(async () => signUp().expect(200));
    await writeFile(join(folder, `${'0'.repeat(64)}.json`), '{"kind":');
    await takeUp();
    expect([await status(), await kept()]).toEqual(['pending', [`${'0'.repeat(64)}.json.failed`]]);
  });
});
