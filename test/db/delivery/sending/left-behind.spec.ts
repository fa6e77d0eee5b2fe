import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OVERDUE } from '../../../../src/delivery/message/overdue.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const HOUR_MS = 3_600_000;

describe('mails whose worker dies before it has begun with their body', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice({ DEMO: 'false' });
  });
  afterEach(async () => t.close());

  /** Claims all that is due and dies; five minutes later what it had is taken up. Returns how many it had. */
  const workerDies = async (): Promise<number> => {
    const now = t.clock.now();
    await t.claim('dies', 100);
    await t.db.query(
      `update message set lease_until = clock_timestamp() - interval '1 second' where state = 'leased'`,
    );
    return (await t.ledger.reap({ now })).returned;
  };
  /** When each is due, in minutes from now, the first first. */
  const dueIn = async (): Promise<number[]> => {
    const rows: { minutes: number }[] = await t.db.query(
      `select extract(epoch from due_at - $1)::float8 / 60 as minutes from message order by due_at`,
      [t.clock.now()],
    );
    return rows.map(({ minutes }) => minutes);
  };

  it('have used up no try by that: after seven deaths the first refusal for now ended them', async () => {
    const id = await t.plan('greylisted@example.org');
    for (let death = 0; death < 7; death++) {
      expect(await workerDies()).toBe(1);
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
      t.clock.advance(3 * HOUR_MS);
    }
    t.sink.onRecipient = async () => ({ code: 450, text: '4.2.0 Recipient address rejected: Greylisted' });
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 1, reason: 'greylisted' });
    t.sink.onRecipient = async () => undefined;
    t.clock.advance(HOUR_MS);
    expect(await t.sendDue()).toBe(1);
  });

  it('go at once after the first death, then apart and ever later: one of them may be what kills it', async () => {
    for (let index = 0; index < 30; index++) await t.plan(`reader${index}@example.org`);
    const claimedIn: number[] = [];
    const longest: number[] = [];
    for (let death = 0; death < 8; death++) {
      claimedIn.push(await workerDies());
      longest.push((await dueIn()).at(-1) ?? 0);
      t.clock.advance(death === 0 ? 0 : 60_000);
    }
    expect(claimedIn.slice(0, 2)).toEqual([30, 30]);
    expect([longest[0], (longest[1] ?? 0) <= 5, Math.max(...longest) <= 120]).toEqual([0, true, true]);
    // Whoever is left to it goes, while the one that kills waits for its own time.
    expect(Math.max(...claimedIn.slice(2))).toBeLessThan(30);
    expect(new Set((await dueIn()).map((minutes) => minutes.toFixed(3))).size).toBeGreaterThan(20);
  });

  it('keep their place in time for the rule about late mails', async () => {
    const id = await t.plan('late@example.org');
    const dueAt = t.clock.now();
    await workerDies();
    await workerDies();
    const rows: unknown[] = await t.db.query('select planned_for as at from message where id = $1', [id]);
    expect(rows).toEqual([{ at: dueAt }]);
  });

  it('are late like all others when an outage follows: taken up after it, they went out days late', async () => {
    await t.sendDue();
    const twice = await t.plan('twice@example.org');
    await workerDies();
    const once = await t.plan('once@example.org');
    await t.claim('dies', 100);
    t.clock.advance(72 * HOUR_MS);
    await t.db.query(`update message set lease_until = clock_timestamp() - interval '1 second'`);
    await t.ledger.reap({ now: t.clock.now() });
    for (let half = 0; half < 6; half++) {
      expect(await t.sendDue()).toBe(0);
      t.clock.advance(HOUR_MS / 2);
    }
    for (const id of [twice, once])
      expect(await t.state(id)).toMatchObject({ state: 'held', reason: OVERDUE });
  });
});
