import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { ReactionsService } from '../../../../src/sequences/events/reactions.service.js';
import { enroll, insertFunnel, openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const FUNNEL = 'niche-ebook';
const READER = 'reader@example.org';
const BOUGHT = 'purchased guide';

describe('a mail that is withdrawn while a try of it is under way', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
    await insertFunnel(t.db, FUNNEL);
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    t.sink.mails.length = 0;
    t.sink.onBody = async () => undefined;
    t.sink.onRecipient = async () => undefined;
    await empty(t.db, 'message, message_attempt, subscriber, enrollment');
    await empty(t.db, 'relay_state, send_bucket');
    await t.app.get(RelaysService, { strict: false }).view();
  });

  const planned = async (): Promise<{ id: string; enrollmentId: string; subscriberId: string }> => {
    const subscriberId = await t.subscriber(READER);
    const enrollmentId = await enroll(t.db, subscriberId);
    return { id: await t.plan(READER, { subscriberId, enrollmentId }), enrollmentId, subscriberId };
  };
  const buys = async (enrollmentId: string): Promise<unknown> =>
    t.db.transaction(async (manager) =>
      t.app.get(ReactionsService, { strict: false }).exit(manager, enrollmentId, BOUGHT),
    );
  /** The next runs of the sender, for as long as a mail is tried again. */
  const laterRuns = async (): Promise<void> => {
    t.sink.onBody = async () => undefined;
    t.sink.onRecipient = async () => undefined;
    for (let hour = 0; hour < 3; hour++) {
      t.clock.advance(3_600_000);
      await empty(t.db, 'relay_state, send_bucket');
      await t.sendDue();
    }
  };

  it('and put off by the relay behind its body: the pitch came an hour after the purchase', async () => {
    const { id, enrollmentId } = await planned();
    t.sink.onBody = async () => {
      await buys(enrollmentId);
      return 451;
    };
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready' });
    await laterRuns();
    expect(t.sink.mails).toEqual([]);
    expect(await t.state(id)).toMatchObject({ state: 'cancelled', reason: BOUGHT, acceptedAt: null });
  });

  it('and refused because of the sender: the owner was asked about what nobody may be sent any more', async () => {
    const { id, enrollmentId } = await planned();
    t.sink.onBody = async () => {
      await buys(enrollmentId);
      return { code: 550, text: '5.7.26 neither SPF nor DKIM passed' };
    };
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'cancelled', reason: BOUGHT, acceptedAt: null });
    const attempts: unknown[] = await t.db.query('select reply_code as code from message_attempt');
    expect(attempts).toEqual([{ code: 550 }]);
  });

  it('and taken is accepted', async () => {
    const { id, enrollmentId } = await planned();
    t.sink.onBody = async () => {
      await buys(enrollmentId);
      return undefined;
    };
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('the second time, at the owner’s word, and put off: it went for the third time', async () => {
    const { id, enrollmentId } = await planned();
    await t.db.query(`update message set unknown_count = 1 where id = $1`, [id]);
    t.sink.onRecipient = async () => {
      await buys(enrollmentId);
      return 450;
    };
    await t.sendDue();
    await laterRuns();
    expect(t.sink.mails).toEqual([]);
    expect(await t.state(id)).toMatchObject({ state: 'unknown' });
  });

  it('and of which nobody knows whether it was taken, until the relay says after all that it was not', async () => {
    const { id, enrollmentId } = await planned();
    const [claimed] = (await t.claim('one', 1)).messages;
    if (!claimed) throw new Error('nothing was claimed');
    await t.ledger.write([], [claimed]);
    await t.db.query(`update message set state = 'unknown', unknown_count = 1 where id = $1`, [id]);
    await buys(enrollmentId);
    await t.db.query(`update message set state = 'ready', data_at = null where id = $1`, [id]);
    await laterRuns();
    expect(t.sink.mails).toEqual([]);
    expect(await t.state(id)).toMatchObject({ state: 'unknown', reason: BOUGHT });
  });
});
