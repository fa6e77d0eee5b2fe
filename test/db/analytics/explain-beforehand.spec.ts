import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { ListsService } from '../../../src/subscribers/lists.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';

const HOUR_MS = 3_600_000;
const SENDER = { name: 'Ada Winters', email: 'ada@example.com', postalAddress: '12 Mill Lane, Springfield' };

interface Told {
  decidedBy: string;
  answer: string;
}

describe('what stands against a mail that has yet to come', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const call = (method: 'get' | 'post', path: string, body: object = {}) =>
    t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
  const explain = async (query: string): Promise<Told> =>
    (await call('get', `messages/explain?${query}`).expect(200)).body as Told;

  it('is that its reader has left the list it is for: it was told when it would go, and never went', async () => {
    const { id } = await newReader(t, 'listed@example.com');
    const lists = t.app.get(ListsService, { strict: false });
    const list = await lists.create({ key: 'news', title: 'News', description: '', isPublic: true });
    await lists.add(list.id, id);
    await call('post', 'segments', { key: 'readers', title: 'Readers', conditions: { list: 'news' } }).expect(
      201,
    );
    const created = await call('post', 'broadcasts', {
      ...{ title: 'News', template: 'emails/story', sender: SENDER },
      audience: { segments: { any: ['readers'] } },
    }).expect(201);
    const broadcast = (created.body as { id: string }).id;
    const atLocal = new Date(t.clock.now().getTime() + 24 * HOUR_MS).toISOString().slice(0, 16);
    await call('post', `broadcasts/${broadcast}/start`, {
      ...{ atLocal, fallbackZone: 'UTC', ifPassed: 'nextDay' },
    });
    t.clock.advance(11 * HOUR_MS);
    await t.app.get(JobRunner).run('broadcasts.plan');
    const query = `subscriberId=${id}&broadcastId=${broadcast}`;
    expect(await explain(query)).toMatchObject({ decidedBy: 'NOT_DUE_YET' });
    await lists.remove(list.id, id);
    const before = await explain(query);
    t.clock.advance(40 * HOUR_MS);
    await t.runDue();
    expect([before, await explain(query)]).toMatchObject([
      { decidedBy: 'LEFT_LIST', answer: 'The person has left the list that the broadcast is for.' },
      { decidedBy: 'LEFT_LIST', answer: expect.stringContaining('when the mail came up') },
    ]);
  });

  const STORY = 'funnel=niche-ebook&step=story';

  it('is a suppression by hand, of a step whose mail has yet to be planned: "The step is next"', async () => {
    const email = 'blocked@example.com';
    const { id } = await newReader(t, email);
    expect(await explain(`subscriberId=${id}&${STORY}`)).toMatchObject({ decidedBy: 'STEP_NOT_DUE' });
    await call('post', 'suppressions', { email, scope: 'marketing' });
    expect(await explain(`subscriberId=${id}&${STORY}`)).toMatchObject({
      decidedBy: 'SUPPRESSED',
      answer: expect.stringContaining('on the suppression list for newsletters and offers'),
    });
  });

  it('is that the mails of its sequence are paused, of a step whose mail has yet to be planned', async () => {
    const { id } = await newReader(t, 'waiting@example.com');
    await call('post', 'sending/sequences/niche-ebook/pause').expect(200);
    expect(await explain(`subscriberId=${id}&${STORY}`)).toMatchObject({ decidedBy: 'SEQUENCE_PAUSED' });
    await call('post', 'sending/sequences/niche-ebook/resume').expect(200);
    expect(await explain(`subscriberId=${id}&${STORY}`)).toMatchObject({ decidedBy: 'STEP_NOT_DUE' });
  });
});
