import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from './post-office.js';

/** PostgreSQL has committed, and the connection ended before the worker heard of it: the worker asks again. */
describe('a commit whose answer is lost', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await t.db.query('truncate message, suppression, subscriber cascade');
  });

  const claimed = async (email: string): Promise<{ id: string; epoch: number }> => {
    await t.plan(email);
    const { messages } = await t.ledger.claim('first', {
      lanes: [{ laneKey: 'example.com|other', limit: 1 }],
      limit: 1,
      now: t.clock.now(),
      overdue: { overdueBefore: null, action: null, reason: null },
    });
    const [message] = messages;
    if (!message) throw new Error('nothing was claimed');
    return { id: message.id, epoch: message.epoch };
  };

  it('lets the mail pass the barrier when it is asked again, instead of leaving it unknown', async () => {
    const claim = await claimed('again@example.com');
    expect(await t.ledger.write([], [claim])).toEqual(new Set([claim.id]));
    expect(await t.ledger.write([], [claim])).toEqual(new Set());
    expect(await t.ledger.write([], [claim], true)).toEqual(new Set([claim.id]));
  });

  it('lets nobody pass with an older lease', async () => {
    const claim = await claimed('older@example.com');
    expect(await t.ledger.write([], [{ ...claim, epoch: claim.epoch - 1 }], true)).toEqual(new Set());
  });

  it('suppresses a mail whose reader left in between, instead of leaving it unknown', async () => {
    const claim = await claimed('left@example.com');
    await t.ledger.write([], [claim]);
    await t.db.query(`update subscriber set status = 'unsubscribed'`);
    expect(await t.ledger.write([], [claim], true)).toEqual(new Set());
    await t.ledger.settleHeld([claim]);
    expect(await t.state(claim.id)).toMatchObject({ state: 'suppressed', leaseUntil: null });
  });
});
