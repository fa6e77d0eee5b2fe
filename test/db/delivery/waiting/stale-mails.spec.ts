import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const DAY_MS = 86_400_000;
const TRIED_EVERY_MS = 25 * 60_000;

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
  /** As the workers try them, time and again. */
  const staysOut = async (forMs: number): Promise<void> => {
    const untilMs = t.clock.now().getTime() + forMs;
    await goesOut();
    for (let leftMs = forMs; leftMs > 0; leftMs = untilMs - t.clock.now().getTime()) {
      t.clock.advance(Math.min(TRIED_EVERY_MS, leftMs));
      for (const relay of relays.all()) await relays.failed(relay, 'connect', 'connection refused');
    }
  };
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id)).state));
  const alertKeys = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);

  it('end after five days, receipts after seven, and the owner is told', async () => {
    const news = await t.plan('news@example.org');
    const receipt = await t.plan('receipt@example.org', { class: 'transactional', kind: 'receipt' });
    await staysOut(5 * DAY_MS - 1);
    await look();
    expect(await states(news, receipt)).toEqual(['ready', 'ready']);
    const young = await t.plan('young@example.org');
    t.clock.advance(2);
    await look();
    expect(await states(news, receipt, young)).toEqual(['expired', 'ready', 'ready']);
    expect(await t.state(news)).toMatchObject({ reason: 'no relay took it for 5 days' });
    expect(await alertKeys()).toContain('relay:stale');
    await staysOut(2 * DAY_MS);
    await look();
    expect(await states(receipt, young)).toEqual(['expired', 'ready']);
  });

  it('wait on while a relay works, however long their pace keeps them, and while it was out for a day', async () => {
    const slow = await t.plan('slow@example.org');
    t.clock.advance(30 * DAY_MS);
    await look();
    await staysOut(DAY_MS);
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
    await staysOut(6 * DAY_MS);
    await look();
    expect(await states(paused)).toEqual(['ready']);
  });

  it('wait on where their reader has paused them', async () => {
    const [paused, other] = [await t.plan('paused@example.org'), await t.plan('other@example.org')];
    await t.db.query(
      `update subscriber set paused_until = now() + interval '9 days' where email = 'paused@example.org'`,
    );
    await staysOut(6 * DAY_MS);
    await look();
    expect(await states(paused, other)).toEqual(['ready', 'expired']);
  });

  it('wait on when the machine was off for days, for a relay that had just gone out', async () => {
    const news = await t.plan('news@example.org');
    await goesOut();
    t.clock.advance(6 * DAY_MS);
    await look();
    expect(await states(news)).toEqual(['ready']);
    // The first try after that says nothing of the days before.
    for (const relay of relays.all()) await relays.failed(relay, 'connect', 'connection refused');
    await look();
    expect(await states(news)).toEqual(['ready']);
  });

  it('wait on while a restored backup may not send', async () => {
    const news = await t.plan('news@example.org');
    await t.sendDue();
    await t.db.query(`update message set state = 'ready', due_at = $1`, [t.clock.now()]);
    await staysOut(6 * DAY_MS);
    await t.db.query(`delete from setting where key = 'ledger.generation'`);
    expect(await t.app.get(GenerationGuard, { strict: false }).state()).toMatchObject({ ok: false });
    await look();
    expect(await states(news)).toEqual(['ready']);
  });

  it('wait on through a second outage, after one whose end a crash kept from the owner', async () => {
    const news = await t.plan('news@example.org');
    await staysOut(4 * DAY_MS);
    await t.db.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'away'; end $$;
       create trigger away before update on alert for each row execute function refuse()`,
    );
    for (const relay of relays.all()) await relays.worked(relay).catch(() => undefined);
    await t.db.query('drop trigger away on alert');
    for (const relay of relays.all()) await relays.worked(relay);
    expect(await alertKeys()).toEqual([]);
    await staysOut(2 * DAY_MS);
    await look();
    expect(await states(news)).toEqual(['ready']);
  });
});
