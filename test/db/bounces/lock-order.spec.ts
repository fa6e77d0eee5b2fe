import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gate, untilWaiting } from '../../support/database.js';
import { DEAD, openBounceOffice, type BounceOffice } from './bounce-office.js';

/** Who sends the unclear mails of a broadcast once more holds the broadcast, and then each of its mails. */
describe('a report about a mail of a broadcast whose mails are sent once more at this moment', () => {
  let t: BounceOffice;
  beforeEach(async () => {
    t = await openBounceOffice();
  });
  afterEach(async () => t.close());

  it('waits for that, and neither is undone', async () => {
    const broadcastId = await t.broadcast();
    const id = await t.sent('bob@example.org', {});
    await t.db.query(
      `update message set broadcast_id = $2, state = 'unknown', accepted_at = null where id = $1`,
      [id, broadcastId],
    );
    const resend = await gate(t.db, 'select 1 from broadcast where id = $1 for update', [broadcastId]);
    const taken = t.comesBack(id, DEAD);
    await untilWaiting(t.db, 1, taken);
    await resend.query('select 1 from message where id = $1 for update', [id]);
    await resend.open();
    expect(await taken).toBe('counted');
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    expect(await t.status('bob@example.org')).toBe('bounced');
  });
});
