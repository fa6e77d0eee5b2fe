import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../src/delivery/pacing/relays.service.js';
import { SendingSettingsService } from '../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../src/delivery/pacing/sending.schemas.js';
import { openPostOffice, type PostOffice } from './post-office.js';

const MINUTE_MS = 60_000;

describe('what is the trouble of the relay and not of the mail', () => {
  let t: PostOffice;
  let relays: RelaysService;
  beforeEach(async () => {
    t = await openPostOffice();
    relays = t.app.get(RelaysService, { strict: false });
  });
  afterEach(async () => t.close());

  const relayState = async (): Promise<string | undefined> => (await relays.view())[0]?.state;
  /** The pause of a relay that is out is over. */
  const pauseEnds = async (): Promise<void> => {
    await t.db.query(`update relay_state set opened_until = clock_timestamp() - interval '1 second'`);
    await relays.view();
  };

  it.each([
    ['451 at the recipient', 'onRecipient', 451, '4.7.1 Too many messages, slow down'],
    ['421 at the recipient', 'onRecipient', 421, '4.7.0 Too many connections from your address'],
    ['450 at the end', 'onBody', 450, '4.2.1 Your hourly sending limit is exceeded'],
  ] as const)('asking for patience uses up none of its tries: %s', async (_, stage, code, text) => {
    const id = await t.plan('grace@example.org');
    t.sink[stage] = async () => ({ code, text });
    for (let round = 0; round < 9; round++) {
      expect(await t.sendDue()).toBe(0);
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0, reason: 'rate_limited' });
      t.clock.advance(6 * MINUTE_MS);
      await t.db.query('truncate send_bucket');
      await relays.worked({ name: (await relays.view())[0]?.name ?? '' });
    }
    t.sink[stage] = async () => undefined;
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', attempt: 1 });
  });

  it('greylisting is about the one mail and counts', async () => {
    const id = await t.plan('grace@example.org');
    t.sink.onRecipient = async () => ({ code: 451, text: '4.7.1 Greylisted, try again later' });
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 1 });
  });

  it.each([
    ['turns down its recipient for good: it works', 550, '5.1.1 User unknown', 'closed'],
    ['puts off its recipient: nothing is known yet', 451, '4.7.1 Greylisted', 'open'],
    ['turns us down: it does not', 550, '5.7.1 Relaying denied', 'open'],
  ] as const)('a relay that is tried and %s', async (_, code, text, expected) => {
    const down = await relays.choose();
    for (let round = 0; round < 3; round++)
      await relays.failed({ name: down?.name ?? '' }, 'connect', 'no answer');
    expect(await relayState()).toBe('open');
    await pauseEnds();
    await t.plan('nobody@example.org');
    t.sink.onRecipient = async () => ({ code, text });
    await t.sendDue();
    expect(await relayState()).toBe(expected);
  });

  it('a broadcast that used up the day leaves room for confirmations and receipts', async () => {
    await t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perDay: 20 } }));
    for (let n = 0; n < 25; n++) await t.plan(`reader${n}@example.org`);
    await t.sendDue();
    expect(t.sink.mails).toHaveLength(19);
    const id = await t.plan('new@example.org', {
      class: 'transactional',
      kind: 'confirmation',
      templateId: await t.templates.publish(t.db.manager, 'emails/confirm'),
      data: { confirmUrl: 'https://mail.example.com/confirm/x', form: { headline: 'x' } },
    });
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    expect(t.sink.mails).toHaveLength(20);
    await t.sendDue();
    expect(t.sink.mails).toHaveLength(20);
  });
});
