import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import type { Fence } from '../../../../src/delivery/generation/generation.js';
import type { Witness } from '../../../../src/delivery/generation/witness.js';
import type { Claim } from '../../../../src/delivery/ledger/ledger.queries.js';
import type { Settlement } from '../../../../src/delivery/replies/settlement.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { OPENED_AT, openPostOffice, type PostOffice } from '../post-office.js';

/** More than a run claims at once, so that it claims again after the ledger has changed. */
const READERS = 300;
const OLDER = { reason: expect.stringContaining('older') };

describe('a worker that lives while its database goes back to an earlier state', () => {
  let t: PostOffice;
  let guard: GenerationGuard;
  beforeEach(async () => {
    t = await openPostOffice();
    guard = t.app.get(GenerationGuard, { strict: false });
  });
  afterEach(async () => t.close());

  const openAlerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);
  const fence = async (): Promise<Fence> => {
    const judged = await guard.fence(t.ledger.witness);
    if (judged === null) throw new Error('nothing may be sent');
    return judged;
  };
  /** The ledger as it was before the first mail. */
  const goBack = async (change = 'select 1'): Promise<void> =>
    t.db.transaction(async (manager) => {
      // Lanes are at work: none of their statements may be in the middle of this.
      await manager.query('lock table message in exclusive mode');
      await manager.query(
        `update message set state = 'ready', lease_epoch = 0, lease_owner = null, lease_until = null, data_at = null,
           attempt = 0, accepted_at = null, settled_at = null`,
      );
      await manager.query(change);
    });
  const claimBehind = async (judged: Fence): ReturnType<PostOffice['claim']> => {
    const overdue = { restored: null, late: null, unsigned: null };
    const places = [{ queueKey: 'example.com|other', priority: 5, limit: 1 }];
    return t.ledger.claim('worker', { places, limit: 1, now: t.clock.now(), overdue, fence: judged });
  };
  /** What it sent last, as if it had been before the server was started. */
  const ofEarlierRun = (): Witness | null => t.ledger.witness && { ...t.ledger.witness, server: '12.5' };
  const startedAnew = async (): Promise<unknown> =>
    t.db.query(`update setting set value = value || '{"server": "12.5"}' where key = 'ledger.generation'`);
  /** As `pg_restore --clean` does it: the table is another one, with the rows of the dump. */
  const RESTORED = `create table restored (like setting including all); insert into restored select * from setting;
    drop table setting; alter table restored rename to setting`;
  const ELSEWHERE: [what: string, change: string][] = [
    ['from a dump', RESTORED],
    [
      'as a copy that takes the place of the database',
      `update setting set value = jsonb_set(value, '{fingerprint,database}', '"1"') where key = 'ledger.generation'`,
    ],
    [
      'by its files, for which the server was stopped',
      `update setting set value = value || '{"server": "12.5"}' where key = 'ledger.generation'`,
    ],
  ];
  const REFUSED = `update setting set value = value || '{"refused": {"reason": "older", "generation": 1, "counter": 9}}' where key = 'ledger.generation'`;
  const COUNTER_BACK = `update setting set value = jsonb_set(value, '{counter}', '0') where key = 'ledger.generation'`;
  /** Claims one mail, and passes the barrier with it. */
  const begin = async (email: string): Promise<Claim> => {
    const id = await t.plan(email);
    const [message] = (await t.claim('worker', 1)).messages;
    const begun = { id, epoch: message?.epoch ?? 0 };
    expect(await t.ledger.write([], [begun])).toEqual(new Set([id]));
    expect(t.ledger.witness).toMatchObject({ claimed: begun });
    return begun;
  };
  const end = async (claim: Claim): Promise<void> => {
    await t.ledger.write([accepted(claim)], []);
  };

  it('sends no mail twice in the run that is under way', async () => {
    for (let n = 0; n < READERS; n++) await t.plan(`reader${n}@example.com`);
    let bodies = 0;
    t.sink.onBody = async () => {
      if (++bodies === 50) await goBack(COUNTER_BACK);
      return undefined;
    };
    await t.sendDue();
    const to = t.sink.mails.map((mail) => mail.to[0]);
    expect(to.length).toBe(new Set(to).size);
    expect(await t.sendDue()).toBe(0);
    expect(await openAlerts()).toEqual(['ledger:generation']);
  });

  it('claims nothing from another run of the server than the one that was judged, until it has judged that', async () => {
    await t.plan('reader@example.com');
    const judged = await fence();
    const elsewhere: Partial<Fence>[] = [
      { server: '12.5' },
      { lineage: 'another' },
      { generation: judged.generation + 1 },
      { counter: judged.counter + 1 },
    ];
    for (const change of elsewhere)
      expect(await claimBehind({ ...judged, ...change })).toMatchObject({
        taken: 0,
      });
    expect(await claimBehind(judged)).toMatchObject({ taken: 1 });
  });

  it('claims nothing once another worker refuses, without looking anew', async () => {
    await t.plan('reader@example.com');
    await fence();
    await t.db.query(REFUSED);
    expect(await t.claim('worker', 1)).toMatchObject({ taken: 0 });
  });

  it('lets out no mail that was claimed before a backup once another worker refuses, which waits for the owner', async () => {
    const id = await t.plan('reader@example.com');
    const [message] = (await t.claim('worker', 1)).messages;
    const claim = { id, epoch: message?.epoch ?? 0 };
    await t.db.query(REFUSED);
    expect(await t.ledger.write([], [claim])).toEqual(new Set());
    await t.ledger.settleHeld([{ ...claim, durationMs: 1, relay: null, tls: null }]);
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
  });

  it.each(ELSEWHERE)(
    'lets out no mail, and claims none, in the two seconds until it sees that the database was restored %s',
    async (_, change) => {
      const ids = [await t.plan('first@example.com'), await t.plan('second@example.com')];
      const judged = await fence();
      const [message] = (await claimBehind(judged)).messages;
      const claim = { id: message?.id ?? '', epoch: message?.epoch ?? 0 };
      expect(ids).toContain(claim.id);
      await t.db.query(change);
      expect(await t.ledger.write([], [claim])).toEqual(new Set());
      expect(await claimBehind(judged)).toMatchObject({ taken: 0 });
    },
  );

  it.each(['claimed', 'ended'] as const)(
    'knows by the mail that it has %s last that seconds are missing in which no beat was',
    async (what) => {
      const claim = await begin('reader@example.com');
      if (what === 'ended') await end(claim);
      expect(await guard.maySend(ofEarlierRun())).toBe(true);
      if (what === 'claimed') await goBack();
      else await t.db.query(`update message set state = 'leased', data_at = null`);
      expect(await guard.maySend(ofEarlierRun())).toEqual(OLDER);
      expect(await t.sendDue()).toBe(0);
      // The owner's word is about all that it had sent until then.
      expect(await guard.confirm('hold')).toMatchObject({ needed: true });
      expect(await guard.maySend(ofEarlierRun())).toBe(true);
    },
  );

  it('does not take for its last mail what it has told the older ledger since', async () => {
    const first = await begin('first@example.com');
    await end(first);
    const late = await begin('late@example.com');
    // As if the server had been started anew and were not judged yet.
    await claimBehind({ ...(await fence()), server: '12.5' });
    await end(late);
    expect(t.ledger.witness).toMatchObject({ claimed: late, ended: first });
  });

  it('does not take for its last mail one whose end has met no row, as after a restore that the owner has confirmed', async () => {
    const first = await begin('first@example.com');
    await end(first);
    await end({ ...first, epoch: first.epoch + 1 });
    await end({ id: '4000000000', epoch: 1 });
    expect(t.ledger.witness).toMatchObject({ ended: first });
    const second = await begin('second@example.com');
    await t.ledger.write([accepted(second), accepted({ id: '4000000000', epoch: 1 })], []);
    expect(t.ledger.witness).toMatchObject({ ended: second });
  });

  it('goes on by itself after a crash of the server that lost nothing', async () => {
    await end(await begin('first@example.com'));
    await startedAnew();
    expect(await guard.maySend(ofEarlierRun())).toBe(true);
    await t.plan('second@example.com');
    expect(await t.sendDue()).toBe(1);
    expect(await openAlerts()).toEqual([]);
  });

  it('goes on when somebody else beats between its look at its note and its look at the database', async () => {
    for (let n = 0; n < 3; n++) {
      const all = await Promise.all(Array.from({ length: 6 }, async () => guard.maySend()));
      expect(new Set(all)).toEqual(new Set([true]));
      await startedAnew();
    }
  });
});

function accepted({ id, epoch }: Claim): Settlement {
  return {
    ...{ id, epoch, state: 'accepted', reason: null, dueAt: null, code: 250, reply: '250 2.0.0 taken' },
    ...{ stage: 'body', acceptedAt: OPENED_AT, countsAsAttempt: true, countsAsUnknown: false },
    ...{ durationMs: 1, relay: 'one', tls: null },
  };
}
