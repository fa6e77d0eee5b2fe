import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

/** What has come about, as SQL. */
const SUPPRESSED = `insert into suppression (email_hash, scope, reason, source, created_at)
  select address_hash, 'all', 'hard_bounce', 'test', now() from message`;
const LEFT = `update subscriber set status = 'unsubscribed'`;
const READER_PAUSES = `update subscriber set paused_until = now() + interval '9 days'`;
const SEQUENCE_PAUSES = `insert into sequence_pause (funnel_key, reason, paused_at) values ('niche-ebook', 'test', now())`;
const broadcastIs = (state: string): string => `update broadcast set state = '${state}'`;

const FATES: readonly [of: 'broadcast' | 'sequence', what: string, came: string[], becomes: string][] = [
  ['broadcast', 'nothing', [], 'goes'],
  ['broadcast', 'its pause', [broadcastIs('paused')], 'held: broadcast paused'],
  ['broadcast', 'a bounce in its pause', [SUPPRESSED, broadcastIs('paused')], 'held: broadcast paused'],
  ['broadcast', 'its cancellation', [broadcastIs('cancelled')], 'cancelled: broadcast cancelled'],
  [
    'broadcast',
    'leaving one that is cancelled',
    [LEFT, broadcastIs('cancelled')],
    'cancelled: broadcast cancelled',
  ],
  ['broadcast', 'leaving', [LEFT], 'suppressed: subscriber is not active'],
  ['broadcast', "its reader's pause", [READER_PAUSES], 'suppressed: paused by the reader'],
  // It opens again by itself; meanwhile its mail was claimed and held back, over and over.
  ['broadcast', 'its end', [broadcastIs('done')], 'goes'],
  ['sequence', 'nothing', [], 'goes'],
  ['sequence', 'its pause', [SEQUENCE_PAUSES], 'held: sequence paused'],
  ['sequence', 'a bounce in its pause', [SUPPRESSED, SEQUENCE_PAUSES], 'held: sequence paused'],
  ['sequence', "its reader's pause", [READER_PAUSES], 'held: paused by the reader'],
  ['sequence', 'leaving in a pause', [READER_PAUSES, LEFT], 'suppressed: subscriber is not active'],
  ['sequence', 'a bounce', [SUPPRESSED], 'suppressed: suppression list'],
];

describe('what becomes of a mail is the same at its claim and at its barrier', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await empty(t.db, 'message, message_attempt, broadcast, suppression, sequence_pause, subscriber');
  });

  const planned = async (of: 'broadcast' | 'sequence'): Promise<string> => {
    const id = await t.plan(
      'ada@example.com',
      of === 'broadcast' ? { kind: 'broadcast', stepKey: undefined } : {},
    );
    if (of === 'broadcast')
      await t.db.query(
        `with b as (insert into broadcast (title, email_template_id, sender, state, created_at)
           select 'B', id, '{}', 'running', now() from email_template limit 1 returning id)
         update message set broadcast_id = b.id from b`,
      );
    return id;
  };
  const comesAbout = async (came: readonly string[]): Promise<void> => {
    for (const statement of came) await t.db.query(statement);
  };
  const found = async (id: string): Promise<string> => {
    const { state, reason } = await t.state(id);
    return `${String(state)}: ${String(reason)}`;
  };

  it.each(FATES)('a mail of a %s after %s', async (of, _what, came, becomes) => {
    const id = await planned(of);
    await comesAbout(came);
    const { messages } = await t.claim('one', 1);
    expect(messages.length === 1 ? 'goes' : await found(id)).toBe(becomes);
  });

  it.each(FATES)('a mail of a %s that was claimed before %s', async (of, _what, came, becomes) => {
    const id = await planned(of);
    const [claimed] = (await t.claim('one', 1)).messages;
    if (!claimed) throw new Error('nothing was claimed');
    await comesAbout(came);
    const passed = (await t.ledger.write([], [claimed])).has(id);
    if (!passed) await t.ledger.settleHeld([{ ...claimed, durationMs: 5, relay: 'one', tls: null }]);
    expect(passed ? 'goes' : await found(id)).toBe(becomes);
  });
});
