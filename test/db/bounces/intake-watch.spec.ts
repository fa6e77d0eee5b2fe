import { afterEach, describe, expect, it, vi } from 'vitest';
import { IntakeWatch } from '../../../src/bounces/intake-watch.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import type { Config } from '../../../src/infra/config.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { openPostOffice, type PostOffice } from '../delivery/post-office.js';

const DAY_MS = 86_400_000;

describe('a domain for bounces', () => {
  let t: PostOffice;
  afterEach(async () => t.close());
  const alerts = (): AlertsService => t.app.get(AlertsService, { strict: false });
  const open = async (): Promise<string[]> => (await alerts().open()).map(({ key }) => key);
  /** Another process of the same installation. */
  const other = (change: Partial<Config>): IntakeWatch =>
    new IntakeWatch(t.db, alerts(), { ...t.config, ...change }, t.clock);

  it('that nothing takes mail for is told of, until a process does', async () => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'bounce.example.com' });
    const watch = t.app.get(IntakeWatch, { strict: false });
    await watch.look();
    expect(await open()).toEqual(['bounces:no-intake']);
    await expect(watch.inWords()).rejects.toThrow('Set BOUNCE_SMTP_PORT, BOUNCE_IMAP_URL');

    const web = other({ bounceSmtpPort: 25 });
    await web.look();
    expect(await open()).toEqual([]);
    expect(await web.inWords()).toBe('a listener on port 25');
    // A worker beside it need not have one of its own.
    const worker = other({ roles: ['worker'], bounceSmtpPort: 25 });
    await worker.look();
    expect(await open()).toEqual([]);
    expect(await worker.inWords()).toBe('not in this process; another one has a listener on port 25');
  });

  it.each([
    [
      { roles: ['worker'] as const, bounceImapUrl: 'imaps://u:p@mail.example.com/INBOX' },
      'a mailbox by IMAP',
    ],
    [{ roles: ['web'] as const, postmarkWebhookSecret: 'sixteen-or-more-signs' }, 'webhooks of Postmark'],
  ])('that is read by %j has its intake', async (change, words) => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'bounce.example.com' });
    const watch = other(change);
    await watch.look();
    expect(await open()).toEqual([]);
    expect(await watch.inWords()).toBe(words);
  });

  it('whose intake was taken away is told of after two days, and not while it is only restarted', async () => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'bounce.example.com' });
    const worker = other({ roles: ['worker'] });
    await other({ bounceSmtpPort: 25 }).look();
    t.clock.advance(2 * DAY_MS - 1);
    await worker.look();
    expect(await open()).toEqual([]);
    t.clock.advance(1);
    await worker.look();
    expect(await open()).toEqual(['bounces:no-intake']);
    await expect(worker.inWords()).rejects.toThrow('Set BOUNCE_SMTP_PORT');
  });

  it('whose intake runs for weeks is not told of', async () => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'bounce.example.com' });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const web = other({ bounceSmtpPort: 25 });
    try {
      await web.start();
      t.clock.advance(14 * DAY_MS);
      vi.advanceTimersByTime(DAY_MS);
    } finally {
      web.beforeApplicationShutdown();
      vi.useRealTimers();
    }
    const worker = other({ roles: ['worker'] });
    const isBelieved = async (): Promise<boolean> =>
      worker.inWords().then(
        () => true,
        () => false,
      );
    expect(await becomesTrue(isBelieved, 20_000)).toBe(true);
    await worker.look();
    expect(await open()).toEqual([]);
  });

  it('is not read by a listener in a process without the role for it', async () => {
    t = await openPostOffice({ BOUNCE_DOMAIN: 'bounce.example.com' });
    await other({ roles: ['worker'], bounceSmtpPort: 25 }).look();
    expect(await open()).toEqual(['bounces:no-intake']);
  });

  it('need not be', async () => {
    t = await openPostOffice();
    const watch = t.app.get(IntakeWatch, { strict: false });
    await watch.look();
    expect(await open()).toEqual([]);
    expect(await watch.inWords()).toContain('set BOUNCE_DOMAIN');
  });
});
