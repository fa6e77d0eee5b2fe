import { acceptProven } from '../../../../src/delivery/ledger/message-evidence.queries.js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SinkAnswer } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const HOUR_MS = 3_600_000;
/** For good, and about this reader. */
const FULL = { code: 550, text: '5.2.2 Mailbox full' };

describe('a receipt whose link is used while its relay has not yet said whether it takes it', () => {
  let t: PostOffice;
  let id: string;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await empty(t.db, 'message, message_attempt, tracking_event, subscriber');
    id = await t.plan('receipt@example.com', { class: 'transactional' });
  });

  /** The link is used when the relay has the whole mail, and then the relay answers so. */
  const tryOnce = async (answer: SinkAnswer, use = true): Promise<void> => {
    t.sink.onBody = async () => {
      if (use) await t.messages.linkUsed(id);
      return answer;
    };
    t.clock.advance(HOUR_MS);
    await t.sendDue();
  };
  /** Its next turn, at a relay that takes mails; how many it has taken then. */
  const takenIfSent = async (): Promise<number> => {
    const before = t.sink.mails.length;
    t.sink.onBody = async () => undefined;
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    return t.sink.mails.length - before;
  };

  /** As it is stored when a picture of the mail is fetched or a link of it is followed. */
  const isOpened = async (kind = 'open', at = 'clock_timestamp()'): Promise<void> => {
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       values ($2, $1, 'scanner', 'as the test says', 1, ${at})`,
      [id, kind],
    );
  };

  it('is not said to have been opened by a scanner of a relay that then put it off: it was never sent again', async () => {
    t.sink.onBody = async () => {
      await isOpened();
      return 451;
    };
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    // The scanner comes once more half an hour after the relay's answer.
    await t.db.query(
      `update message_attempt set started_at = started_at - interval '1 hour', finished_at = finished_at - interval '1 hour'`,
    );
    await t.db.query(`update tracking_event set at = at - interval '1 hour'`);
    await isOpened('click', `clock_timestamp() - interval '30 minutes'`);
    await tryOnce('drop', false);
    expect(await takenIfSent()).toBe(1);
  });

  it('is not called accepted for an opening while its relay refused it for good after an unclear end', async () => {
    await tryOnce('drop', false);
    t.sink.onBody = async () => {
      await isOpened();
      return FULL;
    };
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    expect(await acceptProven(t.db.manager)).toBe(0);
    // Who opens it later has it.
    await isOpened();
    expect(await acceptProven(t.db.manager)).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', reason: 'it was opened' });
  });

  it('is not sent once more when a scanner where it arrived has opened it', async () => {
    await tryOnce(451, false);
    t.sink.onBody = async () => {
      await isOpened();
      return 'drop';
    };
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    expect(await takenIfSent()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', reason: 'it was opened' });
  });

  it('is not said to have come by a scanner of a relay that then put it off, when a later end is unclear', async () => {
    await tryOnce(451);
    expect(await t.state(id)).toMatchObject({ state: 'ready' });
    await tryOnce('drop', false);
    expect(await takenIfSent()).toBe(1);
  });

  it('is not said to have come by a scanner that fetches its link after the relay has put it off, either', async () => {
    await tryOnce(451, false);
    await t.messages.linkUsed(id);
    await tryOnce('drop', false);
    expect(await takenIfSent()).toBe(1);
  });

  it('is not called accepted when the relay refuses it for good after an unclear end', async () => {
    await tryOnce('drop', false);
    await tryOnce(FULL);
    expect(await acceptProven(t.db.manager)).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'unknown', code: FULL.code });
  });

  it('is not sent once more when the answer was lost after that', async () => {
    await tryOnce('drop');
    expect(await takenIfSent()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', reason: 'something came back of it' });
  });

  it('is not sent once more when it is used again in a later try whose answer is lost', async () => {
    await tryOnce(451);
    await tryOnce('drop');
    expect(await takenIfSent()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('is not sent once more when a report came of it, although the relay refused the try that was under way', async () => {
    await tryOnce('drop', false);
    t.sink.onBody = async () => {
      await t.messages.linkUsed(id);
      await t.messages.noteArrival(t.db.manager, id, 'a report');
      await t.messages.linkUsed(id);
      return 451;
    };
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    expect(await takenIfSent()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });
});
