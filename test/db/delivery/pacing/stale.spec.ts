import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/pacing/relays.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const DAY_MS = 86_400_000;

describe('mails that wait for a relay which does not come back', () => {
  let t: PostOffice;
  let relays: RelaysService;
  beforeEach(async () => {
    t = await openPostOffice();
    relays = t.app.get(RelaysService, { strict: false });
  });
  afterEach(async () => t.close());

  const look = async (): Promise<void> => {
    await t.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
  };
  const goesOut = async (): Promise<void> => {
    for (const relay of relays.all())
      for (let tries = 0; tries < 20 && (await relays.anyWorks()); tries++)
        await relays.failed(relay, 'connect', 'connection refused');
  };
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id)).state));
  const alertKeys = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);

  it('end after five days, receipts after seven, and the owner is told', async () => {
    const news = await t.plan('news@example.org');
    const receipt = await t.plan('receipt@example.org', { class: 'transactional', kind: 'receipt' });
    await goesOut();
    t.clock.advance(5 * DAY_MS - 1);
    await look();
    expect(await states(news, receipt)).toEqual(['ready', 'ready']);
    const young = await t.plan('young@example.org');
    t.clock.advance(2);
    await look();
    expect(await states(news, receipt, young)).toEqual(['expired', 'ready', 'ready']);
    expect(await t.state(news)).toMatchObject({ reason: 'no relay took it for 5 days' });
    expect(await alertKeys()).toContain('relay:stale');
    t.clock.advance(2 * DAY_MS);
    await look();
    expect(await states(receipt, young)).toEqual(['expired', 'ready']);
  });

  it('wait on while a relay works, however long their pace keeps them, and while it was out for a day', async () => {
    const slow = await t.plan('slow@example.org');
    t.clock.advance(30 * DAY_MS);
    await look();
    await goesOut();
    t.clock.advance(DAY_MS);
    await look();
    expect(await states(slow)).toEqual(['ready']);
    for (const relay of relays.all()) await relays.worked(relay);
    t.clock.advance(30 * DAY_MS);
    await look();
    expect(await states(slow)).toEqual(['ready']);
  });

  it('wait on where the owner has paused them', async () => {
    const paused = await t.plan('paused@example.org');
    await t.db.query(
      `insert into sequence_pause (funnel_key, reason, paused_at) values ('niche-ebook', 'by the owner', now())`,
    );
    await goesOut();
    t.clock.advance(6 * DAY_MS);
    await look();
    expect(await states(paused)).toEqual(['ready']);
  });
});
