import { setTimeout as sleep } from 'node:timers/promises';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctor } from '../../../../src/commands/doctor.probe.js';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY } from '../../../support/app.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../../support/dovecot.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { report } from '../../../support/returned-mails.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openCourse, type Course } from '../../sequences/course.js';

const HOUR_MS = 3_600_000;

describe.skipIf(!hasDovecot())('after the owner has confirmed a restored backup', () => {
  let t: Course;
  let mailbox: Dovecot;
  let relay: SmtpSink;
  beforeAll(async () => {
    [mailbox, relay] = await Promise.all([openDovecot(), openSmtpSink()]);
    const variables = { BOUNCE_DOMAIN: 'bounce.example.com', BOUNCE_IMAP_URL: mailbox.url('ada') };
    t = await openCourse(variables, relay.url);
    await t.publish('- { key: story, email: emails/story }');
  });
  afterAll(async () => {
    await t.test.close();
    await Promise.all([mailbox.close(), relay.close()]);
  });

  const guard = (): GenerationGuard => t.test.app.get(GenerationGuard, { strict: false });
  const runs = async (job: string): Promise<unknown> => t.test.app.get(JobRunner).run(job);
  const isDue = async (address: string): Promise<void> => {
    await t.enroll(await t.person(address));
    await runs('sequences.advance-due');
  };
  const becomesCopy = async (): Promise<void> => {
    await t.db.query(
      `update setting set value = jsonb_set(value, '{fingerprint,table}', '"1"') where key = 'ledger.generation'`,
    );
  };
  const arrived = (): string[] => relay.mails.flatMap(({ to }) => to);
  const moves = (ms: number): void => t.clock.set(new Date(t.clock.now().getTime() + ms));

  /** It said that mails may go, while all waited. */
  const ledgerOfDoctor = async (): Promise<string> => {
    const { app, dataSource } = t.test;
    const config: Config = app.get(CONFIG, { strict: false });
    const context = { app, config, dataSource, migrated: [], close: async () => undefined };
    const found = (await doctor(context, { domains: [] })).find(({ name }) => name === 'ledger');
    return `${found?.level} ${found?.detail}`;
  };

  it('mails go once the bounce mailbox is read, also where the clock was ahead then: all waited until it had come there, and nothing said so', async () => {
    await isDue('late@example.com');
    await guard().maySend();
    await becomesCopy();
    moves(3 * HOUR_MS);
    await guard().confirm('keep');
    moves(-3 * HOUR_MS);
    await runs('delivery.send-due');
    expect(arrived()).toEqual([]);
    const [{ id }]: [{ id: string }] = await t.db.query('select id from message');
    const explained = await t.test.http
      .get(`/api/v1/messages/${id}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(explained.body).toMatchObject({ decidedBy: 'MAILBOX_FIRST' });

    expect(await ledgerOfDoctor()).toMatch(
      /^ok no mail goes before the bounce mailbox has been read, or 20\d\d-[-\d]+T[:.\d]+Z: /,
    );

    await runs('bounces.read-mailbox');
    expect(await ledgerOfDoctor()).toBe('ok mails may go out');
    await runs('delivery.send-due');
    expect(arrived()).toEqual(['late@example.com']);
  });

  it('a run that was under way as they did waits for the bounce mailbox, too: it went on at once', async () => {
    let isTaken = (): void => undefined;
    const taken = new Promise<void>((resolve) => (isTaken = resolve));
    relay.onBody = async (_, [to]) => (to === 'slow@example.com' ? taken.then(() => undefined) : undefined);
    await isDue('slow@example.com');
    const begunBefore = relay.bodiesBegun;
    const running = runs('delivery.send-due');
    await expect.poll(() => relay.bodiesBegun).toBeGreaterThan(begunBefore);
    await becomesCopy();
    await isDue('gone@example.com');
    // The run looks each second whether this is the right database, and each half for more mails.
    await sleep(1_500);
    moves(60_000);
    await guard().confirm('keep');
    await sleep(1_500);
    expect(arrived()).not.toContain('gone@example.com');
    isTaken();
    await running;
    await runs('bounces.read-mailbox');
    await runs('delivery.send-due');
    expect(arrived().slice(-2)).toEqual(['slow@example.com', 'gone@example.com']);
  });

  /** The database refuses what these mails say, each time. */
  const poison = (at: number): string =>
    report({
      words: 'poison',
      fields: `Final-Recipient: rfc822; p${at}@example.org\nAction: failed\nDiagnostic-Code: smtp; 550 poison ${at}`,
    });

  it('three mails there that cannot be taken hold up all others for a minute at most, and the page Sending says so: it were ten, each time', async () => {
    const url = new URL(mailbox.url('ada'));
    const client = new ImapFlow({
      ...{ host: url.hostname, port: Number(url.port), secure: false, logger: false },
      auth: { user: url.username, pass: url.password },
    });
    await client.connect();
    for (let at = 0; at < 3; at++) await client.append('INBOX', poison(at).replaceAll('\n', '\r\n'));
    await client.logout();
    await t.db.query(`create function refuse_poison() returns trigger language plpgsql as
      $$ begin if new.diagnostic like '%poison%' then raise exception 'poison'; end if; return new; end $$`);
    await t.db.query(
      'create trigger refuse_poison before insert on bounce for each row execute function refuse_poison()',
    );
    const { cookie } = await ownerPages(t.test);
    const page = async (): Promise<string> =>
      (await t.test.http.get('/admin/sending').set('Cookie', cookie).expect(200)).text;
    const waits = 'All mails wait until the bounce mailbox has been read';
    expect(await page()).not.toContain(waits);
    await isDue('poisoned@example.com');
    await becomesCopy();
    moves(60_000);
    await guard().maySend();
    await guard().confirm('keep');
    for (let look = 0; look < 2; look++) {
      await runs('delivery.send-due');
      expect(arrived()).not.toContain('poisoned@example.com');
      expect(await page()).toContain(waits);
      await runs('bounces.read-mailbox');
    }
    await runs('delivery.send-due');
    expect(arrived()).toContain('poisoned@example.com');
    expect(await page()).not.toContain(waits);
  });
});
