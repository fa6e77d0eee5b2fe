import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingService } from '../../../../src/delivery/pacing/sending.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { SignedDomains } from '../../../../src/delivery/signing/signed-domains.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('the estimate while nothing goes, whatever the limits let through', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice();
    await get(SendingSettingsService).replace(
      sendingSettings.parse({ global: { perSecond: 0.001, burst: 1 } }),
    );
    get(PacingService).forgetCache();
  });
  afterEach(async () => t.close());

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const STOPPED = { remaining: 2, completesAt: null, perSecond: null };
  const plan = async (): Promise<void> => {
    for (const name of ['one', 'two']) await t.plan(`${name}@example.org`);
  };

  it('is a time while all is well, and names the limit', async () => {
    await plan();
    expect(await get(SendingService).estimate(null)).toMatchObject({
      remaining: 2,
      completesAt: expect.any(Date),
      limitedBy: 'global',
    });
  });

  it('gave a time although every relay was out', async () => {
    await plan();
    const relays = get(RelaysService);
    for (const { name } of relays.all())
      for (let times = 0; times < 3; times++) await relays.failed({ name }, 'connect', 'no answer');
    expect(await get(SendingService).estimate(null)).toMatchObject({ ...STOPPED, limitedBy: 'relay' });
  });

  it('gave a time although the ledger waited for its owner', async () => {
    await t.sendDue();
    await plan();
    await t.db.query(
      `update setting set value = value || '{"refused": {"reason": "older", "generation": 1, "counter": 9}}' where key = 'ledger.generation'`,
    );
    expect(await get(SendingService).estimate(null)).toMatchObject({ ...STOPPED, limitedBy: 'ledger' });
  });

  it('gave a time although mails of lists waited for a process that had ended without a word', async () => {
    await plan();
    await t.db.query(
      `insert into leavings_keeper (process, folder, place, good_until, held_ms)
       values (gen_random_uuid(), 'gone', 'gone.example:/data/leavings', clock_timestamp() - interval '1 hour', 600000)`,
    );
    expect(await get(SendingService).estimate(null)).toMatchObject({ ...STOPPED, limitedBy: 'leavings' });
  });

  it('gave a time although the key of the sender was missing, and forgot the mails that wait for it', async () => {
    await get(SignedDomains).noteSigned(['example.com']);
    await plan();
    await t.db.query('update send_bucket set tokens = 2, burst = 2');
    await t.sendDue();
    expect(await get(SendingService).estimate(null)).toMatchObject({ ...STOPPED, limitedBy: 'signing' });
    await get(SignedDomains).forget('example.com');
    t.clock.advance(5 * 60_000);
    await t.db.query('update send_bucket set tokens = 2, burst = 2');
    expect(await t.sendDue()).toBe(2);
    expect(await get(SendingService).estimate(null)).toMatchObject({ remaining: 0, limitedBy: null });
  });
});
