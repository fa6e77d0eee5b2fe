import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingService } from '../../../../src/delivery/pacing/sending.service.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { openSmtpSink, type SinkAnswer, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const BUSY: SinkAnswer = { code: 451, text: '4.7.1 too many messages, try again later' };

describe('of two relays one that asks for patience', () => {
  let t: PostOffice;
  let slow: SmtpSink;
  let fast: SmtpSink;
  let tried: number;
  beforeEach(async () => {
    [slow, fast] = await Promise.all([openSmtpSink(), openSmtpSink()]);
    t = await openPostOffice({
      SMTP_URL: `${slow.url}?name=slow&lanes=4 ${fast.url}?name=fast&lanes=4`,
    });
    tried = 0;
  });
  afterEach(async () => {
    await t.close();
    await Promise.all([slow.close(), fast.close()]);
  });

  const plan = async (count: number, name: string, domain: string): Promise<void> => {
    for (let n = 0; n < count; n++) await t.plan(`${name}${n}@${domain}`);
  };
  /** Two of three: it works, and is not left alone for being out of order. */
  const throttled = async (): Promise<SinkAnswer> => (++tried % 3 === 0 ? undefined : BUSY);
  const pace = async (perSecond: number, tokens: number): Promise<void> => {
    await t.db.query(
      `update send_bucket set rate_per_second = $1, burst = 20, slow_factor = 1, tokens = $2, refilled_at = clock_timestamp()`,
      [perSecond, tokens],
    );
  };
  const paces = async (): Promise<string[]> => {
    const rows: { key: string }[] = await t.db.query('select key from send_bucket order by key');
    return rows.map(({ key }) => key);
  };

  it.each([
    ['MAIL FROM', 'gmail.com', 'example.com|gmail'],
    ['RCPT TO', 'gmail.com', 'example.com|gmail'],
    ['MAIL FROM', 'example.org', 'example.com|other'],
  ])('at %s alone goes slower to %s: those of the other waited with them', async (stage, domain, queue) => {
    if (stage === 'MAIL FROM') slow.onSender = throttled;
    else slow.onRecipient = throttled;
    await plan(30, 'first', domain);
    await t.sendDue();
    expect(await paces()).toEqual([`lane:${queue}@slow`]);
    expect(await t.app.get(RelaysService, { strict: false }).view()).toMatchObject([
      { name: 'slow', state: 'closed' },
      { name: 'fast', state: 'closed' },
    ]);
    await pace(0.001, 0);
    // What was put off waits for its time.
    await plan(100, 'next', domain);
    const [before, taken] = [tried, fast.mails.length];
    expect(await t.sendDue()).toBe(100);
    expect([tried - before, fast.mails.length - taken]).toEqual([0, 100]);
    await plan(1, 'last', domain);
    expect(await t.app.get(SendingService, { strict: false }).estimate(null)).toMatchObject({
      limitedBy: 'relay',
    });
  });

  it('goes on by its own pace, with its share of what that bears', async () => {
    slow.onSender = throttled;
    await plan(30, 'first', 'gmail.com');
    await t.sendDue();
    slow.onSender = async () => undefined;
    await pace(0.001, 10);
    const taken = slow.mails.length;
    await plan(100, 'next', 'gmail.com');
    expect(await t.sendDue()).toBe(100);
    expect(slow.mails.length - taken).toBe(10);
  });

  it('does not keep the mails from trying the other, which was out: it stayed out', async () => {
    slow.onSender = throttled;
    await plan(30, 'first', 'gmail.com');
    await t.sendDue();
    slow.onSender = async () => undefined;
    await pace(1_000, 20);
    await t.db.query(
      `insert into relay_state (key, state, failures, opened_until, updated_at)
       values ('fast', 'open', 3, clock_timestamp() - interval '1 second', clock_timestamp())
       on conflict (key) do update set state = 'open', failures = 3, opened_until = excluded.opened_until`,
    );
    const taken = fast.mails.length;
    await plan(5, 'next', 'gmail.com');
    expect(await t.sendDue()).toBe(5);
    expect(fast.mails.length).toBeGreaterThan(taken);
  });

  it('is as slow as both, where the other asks for the same', async () => {
    for (const sink of [slow, fast]) {
      // Each by itself: one that happens to say it ten times in a row is left alone.
      let asked = 0;
      sink.onSender = async () => (++asked % 3 === 0 ? undefined : BUSY);
    }
    await plan(60, 'first', 'gmail.com');
    await t.sendDue();
    expect(await paces()).toEqual(['lane:example.com|gmail@fast', 'lane:example.com|gmail@slow']);
    await pace(0.001, 3);
    const pacing = t.app.get(PacingService, { strict: false });
    const queueKey = 'example.com|gmail';
    const places = [{ queueKey, priority: 5, due: 50 }];
    const { granted, by } = await pacing.allow(places, 50);
    expect(granted).toEqual(new Map([[queueKey, 6]]));
    const [fast3, slow3] = [Array<string>(3).fill('fast'), Array<string>(3).fill('slow')];
    expect(by.get(queueKey)?.toSorted()).toEqual([...fast3, ...slow3]);
    expect(await pacing.waitMs(places)).toBeGreaterThan(0);
    await pacing.giveBack(queueKey, 2, 0, 'slow');
    expect((await pacing.allow(places, 50)).by.get(queueKey)).toEqual(['slow', 'slow']);
    await plan(1, 'last', 'gmail.com');
    expect(await t.app.get(SendingService, { strict: false }).estimate(null)).toMatchObject({
      remaining: 1,
      limitedBy: `lane:${queueKey}@`,
    });
  });
});
