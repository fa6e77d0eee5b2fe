import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AlertMails } from '../../../../src/admin/alerts/alert-mails.service.js';
import { AwaitedMails } from '../../../../src/delivery/pacing/awaited-mails.service.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { empty } from '../../../support/database.js';
import { openBounceOffice, type BounceOffice } from '../../bounces/bounce-office.js';

/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };
const OWNER = 'owner@example.com';

describe('confirmations behind a broadcast that has used up the mails of the day', () => {
  let t: BounceOffice;
  let alerts: AlertsService;
  let people = 0;
  beforeAll(async () => {
    t = await openBounceOffice();
    alerts = t.app.get(AlertsService, { strict: false });
    await t.db.query(
      `insert into owner (email, email_key, password_hash, created_at) values ($1, $1, 'none', $2)`,
      [OWNER, t.clock.now()],
    );
  });
  afterAll(async () => t?.close());
  afterEach(async () => {
    await empty(t.db, 'message, send_bucket, alert');
  });

  /** `used` mails have gone today. */
  const limit = async (settings: object, used: number): Promise<void> => {
    await t.app.get(SendingSettingsService, { strict: false }).replace(sendingSettings.parse(settings));
    t.app.get(PacingService, { strict: false }).forgetCache();
    await t.db.query(
      `update send_bucket set used_today = $1, quota_day = (clock_timestamp() at time zone 'utc')::date`,
      [used],
    );
  };
  const signUps = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++)
      await t.plan(`new${people++}@example.org`, { class: 'transactional', kind: 'confirmation' });
  };
  const told = async (): Promise<string[]> => {
    await t.app.get(AwaitedMails, { strict: false }).look();
    return (await alerts.open()).map(({ key, severity }) => `${severity} ${key}`);
  };

  it('go beyond a warm-up: the sixth to sign up got theirs on the next day', MIDNIGHT, async () => {
    const startedOn = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    await limit({ senders: { 'example.com': { warmUp: { startedOn } } } }, 100);
    await t.plan(`reader${people++}@example.org`);
    await signUps(12);
    expect(await t.sendDue()).toBe(12);
    await t.db.query('update send_bucket set used_today = 199');
    await t.db.query('delete from message');
    await signUps(3);
    expect(await t.sendDue()).toBe(1);
  });

  it('have a fifth of a small quota, and no mail goes beyond it', MIDNIGHT, async () => {
    await limit({ global: { perDay: 100 } }, 0);
    for (let n = 0; n < 85; n++) await t.plan(`reader${people++}@example.org`);
    expect(await t.sendDue()).toBe(80);
    await signUps(25);
    expect(await t.sendDue()).toBe(17);
    expect(await t.sendDue()).toBe(0);
  });

  it(
    'are told of when a limit keeps them for minutes, by a mail that it has room for: nobody was',
    MIDNIGHT,
    async () => {
      await limit({ global: { perDay: 100 } }, 96);
      await signUps(3);
      expect(await t.sendDue()).toBe(1);
      expect(await told()).toEqual([]);
      t.clock.advance(6 * 60_000);
      expect(await told()).toEqual(['critical limits:awaited']);
      const [alert] = await alerts.open();
      expect(alert?.message).toMatch(
        /\(2 for more than 5 minutes\): “All mails” has used up its mails of the day/,
      );
      t.sink.mails.splice(0);
      await t.broadcast();
      await new AlertMails(t.db, alerts, t.messages, t.templates, t.config, t.clock).sendWaiting();
      expect(await t.sendDue()).toBe(1);
      expect(t.sink.mails.flatMap(({ to }) => to)).toEqual([OWNER]);
      await limit({}, 0);
      await t.sendDue();
      expect(await told()).toEqual([]);
    },
  );

  it(
    'are told of to each owner, and of ten mails a day as well: the second was told on the next day, and of ten both were',
    MIDNIGHT,
    async () => {
      const second = 'second@example.com';
      await t.db.query(
        `insert into owner (email, email_key, password_hash, created_at) values ($1, $1, 'none', $2) on conflict do nothing`,
        [second, t.clock.now()],
      );
      const toldTo = async (perDay: number, used: number): Promise<string[]> => {
        await limit({ global: { perDay } }, used);
        await signUps(1);
        expect(await t.sendDue()).toBe(0);
        t.clock.advance(60 * 60_000);
        await told();
        t.sink.mails.splice(0);
        await new AlertMails(t.db, alerts, t.messages, t.templates, t.config, t.clock).sendWaiting();
        await t.sendDue();
        return t.sink.mails.flatMap(({ to }) => to).toSorted();
      };
      await t.broadcast();
      expect(await toldTo(100, 97)).toEqual([OWNER, second]);
      await empty(t.db, 'message, send_bucket, alert');
      expect(await toldTo(10, 9)).toHaveLength(1);
      await t.db.query('delete from owner where email = $1', [second]);
    },
  );

  it('are not told of where they wait for something else, nor are newsletters', MIDNIGHT, async () => {
    await limit({ global: { perDay: 100 } }, 100);
    await t.plan(`reader${people++}@example.org`);
    t.clock.advance(60 * 60_000);
    expect(await told()).toEqual([]);
  });
});
