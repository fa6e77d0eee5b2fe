import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

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
      await empty(t.db, 'send_bucket');
      await relays.worked({ name: (await relays.view())[0]?.name ?? '' });
    }
    t.sink[stage] = async () => undefined;
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted', attempt: 1 });
  });

  it('mailboxes that get too much mail use up no tries, slow nobody down and leave the relay as it is: their mails ended after a day', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) ids.push(await t.plan(`busy${n}@example.org`));
    const text = '4.2.1 The user you are trying to contact is receiving mail at a rate that prevents more';
    t.sink.onRecipient = async () => ({ code: 450, text });
    for (let round = 1; round <= 8; round++) {
      await t.sendDue();
      for (const id of ids)
        expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0, reason: 'mailbox_busy' });
      expect([await relayState(), await t.db.query('select key from send_bucket')]).toEqual(['closed', []]);
      t.clock.advance(13 * 60 * MINUTE_MS);
    }
  });

  it('greylisting is about the one mail and counts', async () => {
    const id = await t.plan('grace@example.org');
    t.sink.onRecipient = async () => ({ code: 451, text: '4.7.1 Greylisted, try again later' });
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 1 });
  });

  it.each([
    ['turns down its recipient for good: it works', 550, '5.1.1 User unknown', 'closed'],
    ['puts off its recipient, greylisted: it works', 451, '4.7.1 Greylisted', 'closed'],
    ['puts off its recipient, whose mailbox is full: it works', 452, '4.2.2 Mailbox full', 'closed'],
    [
      'has a trouble of its own at a recipient: nothing is known yet',
      451,
      '4.3.0 queue file write error',
      'open',
    ],
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

  it.each([
    ['takes bodies and never says so', 'onBody', 'drop', 'unknown'],
    ['goes away in the envelope', 'onSender', 'drop', 'ready'],
    [
      'has no room at MAIL FROM',
      'onSender',
      { code: 452, text: '4.3.1 Insufficient system storage' },
      'ready',
    ],
  ] as const)('a relay that %s is left alone, and the owner hears of it', async (_, stage, answer, state) => {
    for (let n = 0; n < 80; n++) await t.plan(`reader${n}@example.org`);
    t.sink[stage] = async () => answer;
    expect(await t.sendDue()).toBe(0);
    expect(await relayState()).toBe('open');
    const alerts: { message: string }[] = await t.db.query(
      `select message from alert where key like 'relay:%'`,
    );
    expect(alerts).toHaveLength(1);
    const untried: { count: number }[] = await t.db.query(
      `select count(*)::int from message where state = 'ready' and attempt = 0`,
    );
    expect(untried[0]?.count).toBeGreaterThan(30);
    // The probe tries one mail, fails, and the pause grows.
    await pauseEnds();
    t.clock.advance(6 * MINUTE_MS);
    await empty(t.db, 'send_bucket');
    await t.sendDue();
    expect(await relayState()).toBe('open');
    const [row]: { seconds: number }[] = await t.db.query(
      `select extract(epoch from opened_until - clock_timestamp())::float8 as seconds from relay_state`,
    );
    expect(row?.seconds).toBeGreaterThan(20);
    const states: { state: string }[] = await t.db.query('select distinct state from message order by 1');
    expect(states.map((one) => one.state)).toEqual(state === 'unknown' ? ['ready', 'unknown'] : ['ready']);
  });

  it('a relay that is out and drops what it is tried with costs that mail no attempt', async () => {
    const name = (await relays.view())[0]?.name ?? '';
    for (let round = 0; round < 5; round++) await relays.failed({ name }, 'silent', 'no answer');
    const id = await t.plan('grace@example.org');
    t.sink.onRecipient = async () => 'drop';
    for (let round = 0; round < 9; round++) {
      await pauseEnds();
      await t.sendDue();
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
      t.clock.advance(2 * MINUTE_MS);
    }
    t.sink.onRecipient = async () => undefined;
    await pauseEnds();
    expect(await t.sendDue()).toBe(1);
    expect(await relayState()).toBe('closed');
  });

  it('a mail that one relay cannot take goes through another, whichever is drawn, or waits for it', async () => {
    await t.close();
    const [plain, other] = await Promise.all([openSmtpSink({ smtpUtf8: false }), openSmtpSink()]);
    const url = (sink: SmtpSink, more: string): string => `${sink.url}?${more}`;
    const SMTP_URL = `${url(plain, 'name=plain&weight=50')} ${url(other, 'name=other&weight=1')}`;
    t = await openPostOffice({ SMTP_URL });
    relays = t.app.get(RelaysService, { strict: false });
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push(await t.plan(`grün${n}@example.org`));
    expect(await t.sendDue()).toBe(5);
    expect([plain.mails.length, other.mails.length]).toEqual([0, 5]);
    for (let round = 0; round < 3; round++) await relays.failed({ name: 'other' }, 'connect', 'no answer');
    const waits = await t.plan('später@example.org');
    await t.sendDue();
    expect(await t.state(waits)).toMatchObject({ state: 'ready', attempt: 0 });
    await Promise.all([plain.close(), other.close()]);
  });

  it('what cannot be sent as it is uses up nobody’s day', async () => {
    await t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perDay: 20 } }));
    for (let n = 0; n < 30; n++)
      await t.plan(`broken${n}@example.org`, { sender: { ...SENDER, postalAddress: '' } });
    await t.sendDue();
    const ready = await t.plan('fine@example.org');
    await t.sendDue();
    expect(await t.state(ready)).toMatchObject({ state: 'accepted' });
    expect(await t.db.query('select used_today::int as used from send_bucket')).toEqual([{ used: 1 }]);
  });

  it('a claim whose surplus tokens cannot be given back keeps its mails', async () => {
    await t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perDay: 20 } }));
    const id = await t.plan('grace@example.org', { class: 'transactional' });
    await t.plan('left@example.org');
    await t.db.query(`update subscriber set status = 'unsubscribed' where email = 'left@example.org'`);
    await t.db.query(
      `create function no_room() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$`,
    );
    await t.db.query(
      `create trigger no_room before update on send_bucket for each row
       when (new.used_today < old.used_today) execute function no_room()`,
    );
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
  });

  it('a broadcast that used up the day leaves room for confirmations and receipts', async () => {
    await t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perDay: 20 } }));
    for (let n = 0; n < 25; n++) await t.plan(`reader${n}@example.org`);
    await t.sendDue();
    expect(t.sink.mails).toHaveLength(16);
    const id = await t.plan('new@example.org', {
      class: 'transactional',
      kind: 'confirmation',
      templateId: await t.templates.publish(t.db.manager, 'emails/confirm'),
      data: { confirmUrl: 'https://mail.example.com/confirm/x', form: { headline: 'x' } },
    });
    expect(await t.sendDue()).toBe(1);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    expect(t.sink.mails).toHaveLength(17);
    await t.sendDue();
    expect(t.sink.mails).toHaveLength(17);
  });
});
