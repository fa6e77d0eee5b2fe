import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelFolders } from '../../../../src/funnels/export/funnel-folders.service.js';
import { ForecastQueries } from '../../../../src/funnels/forecast/forecast.queries.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { untilWaiting } from '../../../support/database.js';
import { newReader } from '../../../support/reader.js';

const HOUR_MS = 3_600_000;
const KEY = 'niche-ebook';
const NEW_KEY = 'niches-that-pay';

let t: TestApp;
let folder = '';
beforeAll(async () => {
  t = await startTestApp();
  folder = await mkdtemp(join(tmpdir(), 'archived-'));
});
afterAll(async () => {
  await t.close();
  await rm(folder, { recursive: true });
});

const api = (method: 'get' | 'post' | 'put' | 'delete', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const archive = async (): Promise<void> =>
  void (await api('post', `funnels/${KEY}/archive`).send({}).expect(200));
const unarchive = async (): Promise<void> => void (await api('post', `funnels/${KEY}/unarchive`).expect(200));
const end = async () => t.app.get(JobRunner).run('sequences.end-closed');
const label = (yaml: string, text: string, key: string): string =>
  yaml
    .replace(`funnel: ${KEY}`, `funnel: ${key}`)
    .replace('\nsender:', `\nfields: { size: { type: text, label: ${text} } }\nsender:`);

beforeEach(async () => {
  const { body } = await api('get', `funnels/${NEW_KEY}`);
  if (body.key === undefined) await unarchive();
});

describe('beside a funnel that is archived', () => {
  it('a mail goes on waiting where the funnel is brought back while people are ended: it was cancelled all the same', async () => {
    const [ended, done] = [
      await newReader(t, 'ended@example.com'),
      await newReader(t, 'through@example.com'),
    ];
    t.clock.advance(49 * HOUR_MS);
    await t.app.get(JobRunner).run('sequences.advance-due');
    // They are through it, and their last mail waits.
    await t.dataSource.query(
      `update enrollment set status = 'completed', step_key = null, next_at = null, ended_at = $2 where subscriber_id = $1`,
      [done.id, t.clock.now()],
    );
    await archive();
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query('select 1 from enrollment where subscriber_id = $1 for update', [ended.id]);
    const ending = end();
    await untilWaiting(t.dataSource, 1, ending);
    await unarchive();
    await other.commitTransaction();
    await other.release();
    await ending;
    const mails = await t.dataSource.query(
      `select state from message where subscriber_id = $1 and kind = 'sequence' order by id desc limit 1`,
      [done.id],
    );
    expect(mails).toEqual([{ state: 'ready' }]);
    await t.runDue();
    expect((await t.mailsTo(done.email)).at(-1)?.id).not.toBe(done.welcome.id);
  });

  it('who was joining is ended also where it is brought back and archived once more meanwhile: the first time was taken for over', async () => {
    const [one, late] = [await newReader(t, 'one@example.com'), await newReader(t, 'late@example.com')];
    await archive();
    t.clock.advance(HOUR_MS);
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query('select 1 from enrollment where subscriber_id = $1 for update', [one.id]);
    const ending = end();
    await untilWaiting(t.dataSource, 1, ending);
    await unarchive();
    await archive();
    await other.commitTransaction();
    await other.release();
    await ending;
    // As of somebody whose sign-up was under way, and is there now.
    await t.dataSource.query(
      `update enrollment set status = 'active', step_key = 'story', next_at = $2, exit_reason = null, ended_at = null where subscriber_id = $1`,
      [late.id, t.clock.now()],
    );
    await end();
    expect(
      await t.dataSource.query('select exit_reason as why from enrollment where subscriber_id = $1', [
        late.id,
      ]),
    ).toEqual([{ why: 'funnel archived' }]);
  });

  it('the forecast does not take those whom the owner has ended for people who leave after a mail', async () => {
    t.clock.advance(2 * HOUR_MS);
    await newReader(t, 'stayed@example.com');
    await archive();
    await end();
    const from = new Date(t.clock.now().getTime() - HOUR_MS);
    const mails = await t.app.get(ForecastQueries).mails(from, new Date(t.clock.now().getTime() + HOUR_MS));
    expect(mails.filter(({ step }) => step === 'welcome')).toMatchObject([{ sent: 1, left: 0 }]);
  });

  it('all the others are exported to a folder, from which they can be applied: one in it refused them all', async () => {
    await archive();
    const folders = t.app.get(FunnelFolders, { strict: false });
    expect(await folders.write(folder, undefined, { withTexts: true })).toEqual([]);
    expect(await folders.write(folder, KEY, { withTexts: true })).toHaveLength(1);
  });

  it('the one that has its things under another key gives its fields other labels: they kept those of the old one for ever', async () => {
    const yaml = await t.app.get(FunnelsService).export(KEY, { withTexts: true });
    await api('put', `funnels/${KEY}`)
      .send({ yaml: label(yaml, 'Size', KEY) })
      .expect(200);
    await archive();
    for (const text of ['Size', 'Shoe size']) {
      const put = await api('put', `funnels/${NEW_KEY}`).send({ yaml: label(yaml, text, NEW_KEY) });
      expect([put.status, put.body.detail]).toEqual([200, undefined]);
    }
  });

  it('a product is taken out of the one that has it by now: it was asked of the archived one, and refused', async () => {
    const yaml = await t.app.get(FunnelsService).export(NEW_KEY, { withTexts: true });
    const extra = yaml.replace('\noffers:', '\n  - { key: extra, name: Extra, price: 5.00 EUR }\noffers:');
    for (const [key, text] of [
      [NEW_KEY, extra],
      ['the-third', extra.replace(`funnel: ${NEW_KEY}`, 'funnel: the-third')],
    ] as const) {
      const put = await api('put', `funnels/${key}`).send({ yaml: text });
      expect([put.status, put.body.detail]).toEqual([200, undefined]);
      if (key === NEW_KEY) await api('post', `funnels/${key}/archive`).send({}).expect(200);
    }
    const removed = await api('delete', 'products/extra');
    expect([removed.status, removed.body.detail]).toEqual([200, undefined]);
  });
});
