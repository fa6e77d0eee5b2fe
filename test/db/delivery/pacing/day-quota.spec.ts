import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };

describe('a day of ten mails', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice();
    const settings = sendingSettings.parse({ global: { perDay: 10, perSecond: 0.001, burst: 100 } });
    await t.app.get(SendingSettingsService, { strict: false }).replace(settings);
    t.app.get(PacingService, { strict: false }).forgetCache();
    for (let index = 0; index < 8; index++) await t.plan(`reader${index}@example.org`);
  });
  afterEach(async () => t.close());

  const bucket = async (): Promise<unknown> => {
    const rows: { used: number; tokens: number }[] = await t.db.query(
      `select used_today::int as used, round(tokens)::int as tokens from send_bucket`,
    );
    return rows[0];
  };

  it(
    'reaches eight readers whose receivers greylist: half of them got theirs a day later',
    MIDNIGHT,
    async () => {
      t.sink.onRecipient = async () => ({ code: 450, text: '4.2.0 Recipient address rejected: Greylisted' });
      expect(await t.sendDue()).toBe(0);
      // Each try is one for the pace.
      expect(await bucket()).toEqual({ used: 0, tokens: 92 });
      t.sink.onRecipient = async () => undefined;
      t.clock.advance(2 * 60_000);
      expect(await t.sendDue()).toBe(8);
      expect(await bucket()).toEqual({ used: 8, tokens: 84 });
    },
  );

  it(
    'is not used up by busy mailboxes, with nothing delivered, so that no receipt went',
    MIDNIGHT,
    async () => {
      const text = '4.2.1 The user you are trying to contact is receiving mail at a rate that prevents more';
      t.sink.onRecipient = async (address) =>
        address.startsWith('reader') ? { code: 450, text } : undefined;
      for (let round = 0; round < 3; round++) {
        expect(await t.sendDue()).toBe(0);
        t.clock.advance(3 * 3_600_000);
      }
      await t.plan('buyer@example.org', { class: 'transactional' });
      expect(await t.sendDue()).toBe(1);
    },
  );

  it('counts what was refused after its body: the relay had all of it', MIDNIGHT, async () => {
    t.sink.onBody = async () => ({ code: 451, text: '4.7.1 Greylisted' });
    await t.sendDue();
    expect(await bucket()).toEqual({ used: 8, tokens: 92 });
  });
});

describe('a day of twenty mails', () => {
  it(
    'goes to the sequence with priority 1 in one group of receivers: three quarters went to a broadcast with priority 9 in the others',
    MIDNIGHT,
    async () => {
      const t = await openPostOffice();
      try {
        const settings = sendingSettings.parse({ global: { perDay: 20 } });
        await t.app.get(SendingSettingsService, { strict: false }).replace(settings);
        t.app.get(PacingService, { strict: false }).forgetCache();
        for (let index = 0; index < 20; index++) {
          for (const domain of ['outlook.com', 'yahoo.com', 'example.org'])
            await t.plan(`bulk${index}@${domain}`, { priority: 9, kind: 'broadcast' });
          await t.plan(`step${index}@gmail.com`, { priority: 1 });
        }
        // Four are kept for whoever waits for one.
        expect(await t.sendDue()).toBe(16);
        const sent: { priority: number; count: number }[] = await t.db.query(
          `select priority, count(*)::int from message where state = 'accepted' group by priority`,
        );
        expect(sent).toEqual([{ priority: 1, count: 16 }]);
      } finally {
        await t.close();
      }
    },
  );
});
