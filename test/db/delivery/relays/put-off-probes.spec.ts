import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const MINUTE_MS = 60_000;
const FILTERED = { code: 451, text: '4.7.1 Service unavailable - try again later' };
const FULL = { code: 451, text: '4.3.0 Error: queue file write error' };

describe('a relay that comes back from an outage and puts mails off', () => {
  let t: PostOffice;
  let relays: RelaysService;
  beforeEach(async () => {
    t = await openPostOffice();
    relays = t.app.get(RelaysService, { strict: false });
    const name = (await relays.view())[0]?.name ?? '';
    for (let round = 0; round < 3; round++) await relays.failed({ name }, 'connect', 'no answer');
    await pauseEnds();
  });
  afterEach(async () => t.close());

  const relayState = async (): Promise<string | undefined> => (await relays.view())[0]?.state;
  const pauseEnds = async (): Promise<void> => {
    await t.db.query(`update relay_state set opened_until = clock_timestamp() - interval '1 second'`);
    await relays.view();
  };
  /** The relay is tried once more, by one mail or by several at once. */
  const tryAgain = async (): Promise<number> => {
    await pauseEnds();
    await empty(t.db, 'send_bucket');
    return t.sendDue();
  };
  const pauseSeconds = async (): Promise<number> => {
    const [row]: { seconds: number }[] = await t.db.query('select pause_seconds as seconds from relay_state');
    return row?.seconds ?? 0;
  };
  const planned = async (addresses: readonly string[]): Promise<string[]> => {
    const ids: string[] = [];
    for (const address of addresses) ids.push(await t.plan(address));
    return ids;
  };
  const attempts = async (): Promise<number> => {
    const [row]: { sum: number }[] = await t.db.query('select sum(attempt)::int as sum from message');
    return row?.sum ?? 0;
  };
  const tries = async (): Promise<number> => {
    const [row]: { count: number }[] = await t.db.query('select count(*)::int from message_attempt');
    return row?.count ?? 0;
  };

  it('with a full disk: it is left alone, ever longer, and the mails that wait lose no attempt, instead of one each', async () => {
    const ids = await planned(Array.from({ length: 12 }, (_, n) => `reader@list${n}.example`));
    t.sink.onBody = async () => FULL;
    while ((await tries()) < 5) await tryAgain();
    // The first may have been that mail's own trouble. The second, for another receiver, shows that it is the relay's.
    expect([await attempts(), await relayState()]).toEqual([1, 'open']);
    expect(await pauseSeconds()).toBe(15 * 2 ** ((await tries()) - 2));
    const [alert]: { message: string }[] = await t.db.query(
      `select message from alert where key like 'relay:%'`,
    );
    expect(alert?.message).toContain('puts off one mail after the other. Mails wait and lose no attempt');

    t.sink.onBody = async () => undefined;
    t.clock.advance(6 * MINUTE_MS);
    let sent = 0;
    while (sent < ids.length) sent += await tryAgain();
    expect(await relayState()).toBe('closed');
    for (const id of ids) expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('all of one receiver: five of them show that it is the relay', async () => {
    await planned(Array.from({ length: 12 }, (_, n) => `reader${n}@example.org`));
    t.sink.onBody = async () => FULL;
    while ((await tries()) < 7) await tryAgain();
    expect([await attempts(), await relayState()]).toEqual([4, 'open']);
    expect(await pauseSeconds()).toBe(15 * 2 ** ((await tries()) - 5));
  });

  it('but only those of one receiver: it works again with the first mail that it takes', async () => {
    t.sink.onRecipient = async (address) => (address.endsWith('sick.example') ? FULL : undefined);
    // One after the other: of two that are due, either may be the one that tries the relay.
    const [sick = ''] = await planned(['grace@sick.example']);
    expect([await tryAgain(), await relayState()]).toEqual([0, 'open']);
    const [fine = ''] = await planned(['ada@example.org']);
    expect(await tryAgain()).toBe(1);
    expect(await relayState()).toBe('closed');
    expect(await t.state(fine)).toMatchObject({ state: 'accepted' });
    expect(await t.state(sick)).toMatchObject({ state: 'ready', attempt: 1 });
  });

  it('but only those of one or two broadcasts, for their words: the first other mail that falls due opens it, however many of them come before', async () => {
    const crowd = async (subject: string, dueAt: Date): Promise<void> => {
      const templateId = await t.templates.publish(t.db.manager, 'emails/story', subject);
      const plans = Array.from({ length: 40 }, async (_, n) =>
        t.plan(`${subject}@list${n}.example`, { kind: 'broadcast', templateId, dueAt }),
      );
      await Promise.all(plans);
    };
    t.sink.onBody = async (_, [to]) => (to === 'ada@example.org' ? undefined : FILTERED);
    await crowd('wonders', t.clock.now());
    while ((await tries()) < 2) await tryAgain();
    // Nothing else is due: whether it is the relay cannot be told.
    expect([await tryAgain(), await tries(), await attempts()]).toEqual([0, 3, 1]);
    t.clock.advance(1);
    await crowd('bargains', t.clock.now());
    t.clock.advance(1);
    const fine = await t.plan('ada@example.org');
    expect([await tryAgain(), await tries(), await attempts()]).toEqual([0, 4, 1]);
    expect(await tryAgain()).toBe(1);
    expect(await t.state(fine)).toMatchObject({ state: 'accepted' });
    expect(await relayState()).toBe('closed');
    // Those of the broadcasts are put off for their own sake from now on, and come to an end by their own count.
    await t.sendDue();
    expect([await relayState(), (await attempts()) > 2]).toEqual(['closed', true]);
  });

  it('but only one mail, which is all there is: it comes to an end by its own count, and no pause grows', async () => {
    const [id = ''] = await planned(['grace@example.org']);
    t.sink.onBody = async () => FULL;
    const before = await pauseSeconds();
    for (let round = 1; round <= 7; round++) {
      await tryAgain();
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: round });
      t.clock.advance(13 * 60 * MINUTE_MS);
    }
    await tryAgain();
    expect(await t.state(id)).toMatchObject({ state: 'expired' });
    expect(await pauseSeconds()).toBe(before);
  });

  it('at the recipient, as receivers do that greylist without the word: each may be its receiver’s own', async () => {
    await planned(Array.from({ length: 6 }, (_, n) => `reader@list${n}.example`));
    t.sink.onRecipient = async () => ({ code: 451, text: '4.7.1 Please try again later' });
    const before = await pauseSeconds();
    while ((await tries()) < 6) await tryAgain();
    expect([await attempts(), await pauseSeconds()]).toEqual([6, before]);
  });

  it('behind mails that need no sending: they are put aside by hundreds, instead of a claim for each before the relay is tried', async () => {
    const templateId = await t.templates.publish(t.db.manager, 'emails/story', 'put off');
    const late = (n: number): Parameters<PostOffice['plan']> => [
      `late${n}@example.org`,
      { dueAt: new Date(t.clock.now().getTime() + 1), expiresAt: new Date(t.clock.now().getTime() + 2) },
    ];
    await t.plan('grace@list1.example', { templateId, kind: 'broadcast' });
    await t.plan('grace@list2.example', { templateId, kind: 'broadcast' });
    t.sink.onBody = async (_, [to]) => (to === 'ada@example.org' ? undefined : FILTERED);
    while ((await tries()) < 2) await tryAgain();
    const expired: string[] = [];
    for (let n = 0; n < 60; n++) expired.push(await t.plan(...late(n)));
    t.clock.advance(5);
    const fine = await t.plan('ada@example.org');
    const claims = vi.spyOn(t.app.get(DueMessages, { strict: false }), 'claim');
    expect(await tryAgain()).toBe(1);
    expect(claims.mock.calls.length).toBeLessThan(10);
    expect(await t.state(fine)).toMatchObject({ state: 'accepted' });
    for (const id of expired) expect(await t.state(id)).toMatchObject({ state: 'expired', attempt: 0 });
  });
});
