import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { complaintsByReceiver } from '../../../src/bounces/complaints.queries.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;

/** Gmail tells nobody who complained, and each provider judges by its own readers alone. */
describe('complaints, by the provider that tells of them', () => {
  let office: BounceOffice;

  beforeEach(async () => {
    office = await openBounceOffice();
  });
  afterEach(async () => office.close());

  const watch = (): RatesWatch => office.app.get(RatesWatch, { strict: false });
  const alertOf = async (key: string): Promise<{ severity: string; message: string } | undefined> => {
    const rows: { severity: string; message: string }[] = await office.db.query(
      'select severity, message from alert where key = $1 and resolved_at is null',
      [key],
    );
    return rows[0];
  };
  const reasonOf = async (id: string): Promise<string | undefined> => {
    const rows: { reason: string }[] = await office.db.query(
      'select state_reason as reason from broadcast where id = $1',
      [id],
    );
    return rows[0]?.reason;
  };

  it('a broadcast that one reader in a hundred at Yahoo complains about is paused: it went on, as most others read at Gmail', async () => {
    const id = await office.broadcast();
    await acceptedMails(office, id, 5_000);
    const atYahoo = await acceptedMails(office, id, 1_000, { group: 'yahoo' });
    for (const one of atYahoo.slice(0, 2)) await office.complains(one);
    expect(await broadcastState(office, id)).toBe('running');
    await office.complains(atYahoo[2] ?? '');
    expect(await broadcastState(office, id)).toBe('paused');
    expect(await reasonOf(id)).toBe('3 of 1000 recipients complained at yahoo (0.30 %)');
  });

  it('a sequence that is complained about at one provider is paused, however many of its mails went elsewhere', async () => {
    const of = { funnelKey: 'niches' };
    const first = await office.sent('first@example.org', of);
    const copies = async (count: number, group: string): Promise<string[]> => {
      const rows: { id: string }[] = await office.db.query(
        `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, state,
           due_at, settled_at, accepted_at, created_at, lane_key, funnel_key)
         select $3 || n, class, kind, email_template_id, sender, n || '@example.org', decode(md5($3 || n), 'hex'),
           '<' || $3 || n || '@example.com>', state, due_at, settled_at, accepted_at, created_at, 'example.com|' || $3, funnel_key
         from message cross join generate_series(1, $2::int) n where id = $1 returning id`,
        [first, count, group],
      );
      return rows.map((row) => row.id);
    };
    await copies(5_000, 'gmail');
    const atYahoo = await copies(1_000, 'yahoo');
    for (const one of atYahoo.slice(0, 3)) await office.complains(one);
    await watch().look();
    const pauses = office.app.get(SequencePauses, { strict: false });
    const reason = '3 of 1000 recipients complained at yahoo (0.30 %)';
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches', reason }]);
  });

  it('a small list that a fifth of its readers complain about is paused: below a hundred mails nothing was', async () => {
    const id = await office.broadcast();
    const ids = await acceptedMails(office, id, 90);
    for (const one of ids.slice(0, 4)) await office.complains(one);
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf(`bounces:broadcast:${id}`)).toMatchObject({ severity: 'warning' });
    await office.complains(ids[4] ?? '');
    expect(await broadcastState(office, id)).toBe('paused');
    await office.app.get(BroadcastsService, { strict: false }).resume(id);
    await watch().look();
    expect(await broadcastState(office, id)).not.toBe('paused');
  });

  it('its page and the alert say the same numbers of a pause, as more come: the page kept those of its beginning', async () => {
    const id = await office.broadcast();
    const ids = await acceptedMails(office, id, 90);
    const said = async (): Promise<unknown> => {
      const { message = '' } = (await alertOf(`bounces:broadcast:${id}`)) ?? {};
      return [await reasonOf(id), /is paused: (.*?)\. /.exec(message)?.[1]];
    };
    for (const one of ids.slice(0, 5)) await office.complains(one);
    expect(await said()).toEqual(Array.from({ length: 2 }, () => expect.stringMatching(/^5 of 90 /)));
    await office.complains(ids[5] ?? '');
    expect(await said()).toEqual(Array.from({ length: 2 }, () => expect.stringMatching(/^6 of 90 /)));
    const broadcasts = office.app.get(BroadcastsService, { strict: false });
    await broadcasts.resume(id);
    await broadcasts.pause(id);
    const ofOwner = await reasonOf(id);
    await office.complains(ids[6] ?? '');
    expect(await reasonOf(id)).toBe(ofOwner);
  });

  /** A broadcast to so many at Yahoo. */
  const atYahoo = async (count: number): Promise<{ id: string; mails: string[] }> => {
    const id = await office.broadcast();
    return { id, mails: await acceptedMails(office, id, count, { group: 'yahoo' }) };
  };
  const KEY = 'complaints:provider:yahoo';

  it('broadcasts that are each too small to tell are paused by what they come to together at one provider: they went on', async () => {
    const some = [await atYahoo(300), await atYahoo(300), await atYahoo(300)];
    const [quiet, elsewhere] = [await atYahoo(50), await office.broadcast()];
    const [atGmail = ''] = await acceptedMails(office, elsewhere, 300);
    for (const one of [...some.map(({ mails }) => mails[0] ?? ''), atGmail]) await office.complains(one);
    await watch().look();
    const states = async (): Promise<string[]> =>
      Promise.all(some.map(async ({ id }) => broadcastState(office, id)));
    expect(await states()).toEqual(['paused', 'paused', 'paused']);
    const reason = '3 of 950 recipients complained at yahoo (0.32 %) in the last 24 hours';
    expect(await reasonOf(some[0]?.id ?? '')).toBe(reason);
    expect(await alertOf(`bounces:broadcast:${some[0]?.id}`)).toMatchObject({ severity: 'critical' });
    expect(await alertOf(KEY)).toMatchObject({ severity: 'critical' });
    expect(await broadcastState(office, quiet.id)).toBe('running');
    expect(await broadcastState(office, elsewhere)).toBe('running');
    // The owner's word holds: from then on it is judged by itself.
    const { id, mails } = some[0] ?? { id: '', mails: [] };
    await office.app.get(BroadcastsService, { strict: false }).resume(id);
    await office.complains(mails[1] ?? '');
    await watch().look();
    expect(await broadcastState(office, id)).not.toBe('paused');
  });

  it('one that the owner had paused for another reason is paused once as the others are: each resumption exempted it for good', async () => {
    const some = [await atYahoo(300), await atYahoo(300), await atYahoo(300)];
    const [{ id, mails } = { id: '', mails: [] }] = some;
    const broadcasts = office.app.get(BroadcastsService, { strict: false });
    const endsNow = async (ids: string[]): Promise<unknown> =>
      office.db.query('update message set settled_at = clock_timestamp() where id = any($1::bigint[])', [
        ids,
      ]);
    await broadcasts.pause(id);
    await broadcasts.resume(id);
    await endsNow(mails);
    for (const one of some) await office.complains(one.mails[0] ?? '');
    await watch().look();
    expect(await broadcastState(office, id)).toBe('paused');
    await broadcasts.resume(id);
    await endsNow(mails.slice(1));
    await office.complains(mails[1] ?? '');
    await watch().look();
    expect(await broadcastState(office, id)).not.toBe('paused');
  });

  it('one that stands still for what its provider has had in all goes on saying so, when a few complaints of its own come', async () => {
    const some = [await atYahoo(1_000), await atYahoo(100), await atYahoo(100), await atYahoo(100)];
    for (const { mails } of some) await office.complains(mails[0] ?? '');
    await watch().look();
    const [{ id, mails } = { id: '', mails: [] }] = some;
    await office.complains(mails[1] ?? '');
    expect(await alertOf(`bounces:broadcast:${id}`)).toMatchObject({
      severity: 'critical',
      message: expect.stringMatching(/is paused: 4 of 1300 recipients complained at yahoo .* 24 hours/),
    });
  });

  it('one bad day is told of although the week was good', async () => {
    await atYahoo(3_000);
    office.clock.advance(2 * DAY_MS);
    const [one, other] = [await atYahoo(300), await atYahoo(300)];
    for (const { mails } of [one, other]) await office.complains(mails[0] ?? '');
    await watch().look();
    expect(await alertOf(KEY)).toMatchObject({
      severity: 'critical',
      message: '2 of 600 recipients complained at yahoo (0.33 %) in the last 24 hours',
    });
  });

  it('complaints about the mails of a month ago are not held against the few of this week', async () => {
    const { id, mails } = await atYahoo(3_000);
    office.clock.advance(10 * DAY_MS);
    await acceptedMails(office, id, 100, { group: 'yahoo', after: 3_000 });
    for (const one of mails.slice(0, 2)) await office.complains(one);
    await watch().look();
    expect(await alertOf(KEY)).toBeUndefined();
    expect(await broadcastState(office, id)).toBe('running');
  });

  /** A broadcast to 9,000 at small providers, and to so many at another, that of example.org, who partly have domains of their own. */
  const atSmallOnes = async (own: number, hosted: number): Promise<{ id: string; mails: string[] }> => {
    const id = await office.broadcast();
    await acceptedMails(office, id, 9_000, { group: 'other', domain: 'elsewhere.example' });
    await acceptedMails(office, id, hosted, { group: 'other', domain: 'hosted.example' });
    await office.db.query(
      `insert into mail_domain (domain, group_key, mx_host, checked_at)
       values ('hosted.example', 'other', 'mx1.example.org', $1) on conflict do nothing`,
      [office.clock.now()],
    );
    return { id, mails: await acceptedMails(office, id, own, { group: 'other' }) };
  };

  it('five of the 1,400 readers of a small provider are too many: they were divided by the readers of all others', async () => {
    const { id, mails } = await atSmallOnes(200, 1_000);
    const more = await acceptedMails(office, await office.broadcast(), 200, { group: 'other' });
    for (const one of [...mails.slice(0, 3), ...more.slice(0, 2)]) await office.complains(one);
    await watch().look();
    const reason = '5 of 1400 recipients complained at example.org (0.36 %) in the last 24 hours';
    expect(await broadcastState(office, id)).toBe('paused');
    expect(await reasonOf(id)).toBe(reason);
    expect(await alertOf('complaints:provider:example.org')).toMatchObject({ severity: 'critical' });
    expect(await alertOf('complaints:provider:other')).toBeUndefined();
    await office.app.get(BroadcastsService, { strict: false }).resume(id);
    await watch().look();
    expect(await broadcastState(office, id)).not.toBe('paused');
  });

  it('mails are read once for all small providers and spans: each of them had all of the week read for itself', async () => {
    const id = await office.broadcast();
    const now = office.clock.now().getTime();
    for (const name of ['one', 'two', 'three', 'four', 'five']) {
      const mails = await acceptedMails(office, id, 400, { group: 'other', domain: `${name}.example` });
      for (const mail of mails.slice(0, 5)) await office.complains(mail);
    }
    // The reporter of these tests speaks for one domain alone.
    await office.db.query(`update bounce set trusted = true, provider_group = 'other'`);
    const read = await office.db.transaction(async (manager) => {
      await manager.query('set local max_parallel_workers_per_gather = 0');
      const count = async (): Promise<number> => {
        const rows: { count: number }[] = await manager.query(
          `select (seq_tup_read + idx_tup_fetch)::int as count from pg_stat_xact_user_tables where relname = 'message'`,
        );
        return rows[0]?.count ?? 0;
      };
      const before = await count();
      const found = await complaintsByReceiver(manager, [new Date(now - DAY_MS), new Date(now - 7 * DAY_MS)]);
      expect(found.map((span) => span.map(({ tally }) => tally.accepted))).toEqual([
        [400, 400, 400, 400, 400],
        [400, 400, 400, 400, 400],
      ]);
      return (await count()) - before;
    });
    // As many for the complaints of each span, of which there may be few.
    expect(read).toBeLessThan(3.5 * 2_000);
  });

  it('a broadcast that five of its 1,200 readers at a small provider complain about is paused at once: all small ones were one to it', async () => {
    const { id, mails } = await atSmallOnes(200, 1_000);
    for (const one of mails.slice(0, 4)) await office.complains(one);
    expect(await broadcastState(office, id)).toBe('running');
    await office.complains(mails[4] ?? '');
    expect(await broadcastState(office, id)).toBe('paused');
    expect(await reasonOf(id)).toBe('5 of 1200 recipients complained at example.org (0.42 %)');
  });

  it('a sequence that five of its 1,200 readers at a small provider complain about is paused, too', async () => {
    const { id, mails } = await atSmallOnes(200, 1_000);
    await office.db.query(
      `update message set kind = 'sequence', funnel_key = 'niches', broadcast_id = null where broadcast_id = $1`,
      [id],
    );
    for (const one of mails.slice(0, 5)) await office.complains(one);
    await watch().look();
    const reason = '5 of 1200 recipients complained at example.org (0.42 %)';
    const pauses = office.app.get(SequencePauses, { strict: false });
    expect(await pauses.all()).toMatchObject([{ funnelKey: 'niches', reason }]);
  });

  it('five complaints under a domain where five read stop no big broadcast: whoever has one could stop each', async () => {
    const { id, mails } = await atSmallOnes(5, 0);
    for (const one of mails) await office.complains(one);
    await watch().look();
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf(`bounces:broadcast:${id}`)).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('5 of 5 recipients complained at example.org'),
    });
  });

  it('five who complained at as many providers and were erased since are not one provider: their broadcast was paused', async () => {
    const { id } = await atSmallOnes(0, 0);
    const erased: string[] = [];
    for (const name of ['one', 'two', 'three', 'four', 'five'])
      erased.push(...(await acceptedMails(office, id, 1, { group: 'other', domain: `${name}.example` })));
    for (const one of erased) await office.complains(one);
    // The reporter of these tests speaks for one domain alone.
    await office.db.query(`update bounce set trusted = true, provider_group = 'other'`);
    const quiet = await acceptedMails(office, id, 500, { group: 'other', domain: 'quiet.example' });
    await office.db.query(`update message set address = 'erased' where id = any($1::bigint[])`, [
      [...erased, ...quiet],
    ]);
    const [next = ''] = await acceptedMails(office, id, 1, { group: 'other' });
    await office.complains(next);
    await watch().look();
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf('complaints:provider:erased')).toBeUndefined();
  });

  it('four of 200 at a small provider stop nothing: of hundreds of them, some have that many by chance', async () => {
    const { id, mails } = await atSmallOnes(200, 0);
    for (const one of mails.slice(0, 4)) await office.complains(one);
    await watch().look();
    expect(await broadcastState(office, id)).toBe('running');
    expect(await alertOf('complaints:provider:example.org')).toBeUndefined();
  });

  it('one that went on after a pause for Yahoo is paused for what Gmail has had in all: it was exempt everywhere', async () => {
    const some = [await atYahoo(300), await atYahoo(300)];
    for (const { mails } of some) await office.complains(mails[0] ?? '');
    await watch().look();
    const [{ id } = { id: '' }] = some;
    expect(await broadcastState(office, id)).toBe('paused');
    await office.app.get(BroadcastsService, { strict: false }).resume(id);
    const other = await office.broadcast();
    for (const one of [id, other]) {
      const mails = await acceptedMails(office, one, 300);
      await office.db.query(
        `update message set settled_at = clock_timestamp() where id = any($1::bigint[])`,
        [mails],
      );
      await office.complains(mails[0] ?? '');
    }
    await watch().look();
    expect(await broadcastState(office, id)).toBe('paused');
    expect(await reasonOf(id)).toContain('at gmail');
  });
});
