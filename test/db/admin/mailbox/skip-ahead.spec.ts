import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminModule } from '../../../../src/admin/admin.module.js';
import { SystemClock } from '../../../../src/infra/clock.js';
import { ClockOffset } from '../../../../src/infra/clock-offset.js';
import { Wake } from '../../../../src/infra/jobs/wake.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { MailboxServer } from '../../../../src/infra/mailbox/mailbox.server.js';
import { openShop, type Shop } from '../../orders/shop.js';

const DAY_MS = 86_400_000;
const letter = (key: string, next: string | null) => ({
  kind: 'email',
  key,
  templateKey: 'emails/receipt',
  templateId: '1',
  delay: { value: 3, unit: 'days' },
  at: null,
  offer: null,
  deadline: null,
  next,
});

describe('skipping ahead in demo mode', () => {
  const clock = new SystemClock();
  let shop: Shop;

  beforeAll(async () => {
    const smtpPort = await freePort();
    shop = await openShop({
      modules: [AdminModule],
      env: { DEMO: 'true', BASE_URL: 'http://localhost:3000' },
      smtpPort,
      appClock: clock,
    });
    await shop.app.get(MailboxServer, { strict: false }).listen(smtpPort);
    await shop.app.get(Wake).listen();
    await shop.db.query(`update sequence_version set definition = $1`, [
      JSON.stringify({ nodes: [letter('story', null)], first: 'story', window: null, exitOn: [] }),
    ]);
    await shop.db.query(`update sequence set sender = $1`, [
      JSON.stringify({ name: 'Ada', email: 'ada@example.com', postalAddress: '12 Mill Lane' }),
    ]);
    // A letter without a way out or an address is not sent.
    await shop.db.query(
      `update email_template set html = html || '<a href="{{ unsubscribeUrl }}">Unsubscribe</a> {{ sender.postalAddress }}'`,
    );
    const { enrollmentId } = await shop.mailTo('reader@example.com', null);
    await shop.db.query(`update enrollment set step_key = 'story', next_at = $2 where id = $1`, [
      enrollmentId,
      new Date(clock.now().getTime() + 10 * DAY_MS),
    ]);
  });

  afterAll(async () => {
    await shop?.app.get(Wake).close();
    await shop?.app.get(MailboxServer, { strict: false }).close();
    await shop?.close();
  });

  it('makes the next step the present, sends its mail, and remembers the time', async () => {
    const before = clock.now().getTime();
    expect((await shop.http.get('/mailbox').expect(200)).text).toContain('Skip ahead');
    await shop.http.post('/mailbox/skip-ahead').set('Origin', 'https://evil.example').expect(403);
    expect(clock.offsetMs).toBe(0);

    const answer = await shop.http.post('/mailbox/skip-ahead').set('Accept', 'application/json').expect(200);
    expect(new Date(answer.body.now as string).getTime() - before).toBeGreaterThanOrEqual(
      10 * DAY_MS - 60_000,
    );
    expect(answer.body.nextDueAt).toBeNull();
    const mails = await shop.http.get('/mailbox').set('Accept', 'application/json').expect(200);
    expect(mails.body.data).toMatchObject([{ to: 'reader@example.com', subject: 'Receipt' }]);

    const restarted = new SystemClock();
    await new ClockOffset(shop.db, restarted).load();
    expect(restarted.offsetMs).toBe(clock.offsetMs);
  });

  it('leaves the clock alone when nothing is waiting, and sends a browser back to the mailbox', async () => {
    const { offsetMs } = clock;
    const answer = await shop.http.post('/mailbox/skip-ahead').expect(303);
    expect(answer.headers['location']).toBe('/mailbox');
    expect(clock.offsetMs).toBe(offsetMs);
  });
});
