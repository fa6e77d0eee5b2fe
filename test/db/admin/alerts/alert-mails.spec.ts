import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AlertMails } from '../../../../src/admin/alerts/alert-mails.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { acceptedMails } from '../../bounces/broadcast-mails.js';
import { openBounceOffice, type BounceOffice } from '../../bounces/bounce-office.js';

const HOUR_MS = 3_600_000;
const OWNER = 'owner@example.com';

describe('what is critical is mailed to the owner: it stood on the page Sending alone', () => {
  let office: BounceOffice;
  let alerts: AlertsService;
  let mails: AlertMails;

  beforeAll(async () => {
    office = await openBounceOffice();
    const { app, db, messages, templates, config, clock } = office;
    alerts = app.get(AlertsService, { strict: false });
    mails = new AlertMails(db, alerts, messages, templates, config, clock);
  });
  afterAll(async () => office.close());

  /** What the owner has got since the last look. */
  const got = async (): Promise<string[]> => {
    await mails.sendWaiting();
    await office.sendDue();
    return office.sink.mails
      .splice(0)
      .flatMap(({ to, parsed }) => (to.includes(OWNER) ? [`${parsed.subject}\n${parsed.text}`] : []));
  };
  const relayOut = { key: 'relay:main', severity: 'critical', message: 'The relay main is out' } as const;

  it('a broadcast that its readers complain about: once, as soon as there is an owner to tell', async () => {
    const id = await office.broadcast();
    const [one = '', other = ''] = await acceptedMails(office, id, 200);
    await office.complains(one);
    await office.complains(other);
    expect(await got()).toEqual([]);
    await office.db.query(
      `insert into owner (email, email_key, password_hash, created_at) values ($1, $1, 'none', $2)`,
      [OWNER, office.clock.now()],
    );
    const told = await got();
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^The broadcast "News" is paused: 2 of 200 recipients complained \(1\.00 %\)\n/);
    expect(told[0]).toContain('https://mail.example.com/admin/sending');
    expect(told[0]).toContain('Something needs you');
    expect(await got()).toEqual([]);
  });

  it('each begin of a trouble, in one mail an hour; nothing of what was over by then or is a warning', async () => {
    await alerts.raise({ key: 'slow', severity: 'warning', message: 'A warning' });
    for (let time = 0; time < 3; time++) {
      await alerts.raise(relayOut);
      expect(await got()).toEqual([]);
      await alerts.resolve(relayOut.key);
      office.clock.advance(60_000);
    }
    office.clock.advance(HOUR_MS);
    expect(await got()).toEqual([]);
    await alerts.raise(relayOut);
    await alerts.raise({ key: 'disk', severity: 'critical', message: 'The disk is full' });
    const [told = ''] = await got();
    expect(told).toContain('The relay main is out');
    expect(told).toContain('The disk is full');
    // Two in a row read as one story.
    expect(told).toMatch(/2 things need you[^]*1\. The [^]*2\. The /);
    expect(told).not.toContain('A warning');
    office.clock.advance(2 * HOUR_MS);
    await alerts.raise(relayOut);
    expect(await got()).toEqual([]);
    await alerts.resolve(relayOut.key);
    await alerts.raise(relayOut);
    expect(await got()).toHaveLength(1);
  });

  it('one that begins anew while a lesser trouble of that key is still open is mailed, at the hour: nobody was told of it', async () => {
    const critical = { key: 'complaints', severity: 'critical', message: 'Too many complain' } as const;
    office.clock.advance(2 * HOUR_MS);
    await alerts.raise(critical);
    expect(await got()).toHaveLength(1);
    await alerts.raise({ ...critical, severity: 'warning', message: 'Some complain' });
    office.clock.advance(HOUR_MS / 2);
    await alerts.raise(critical);
    expect(await got()).toEqual([]);
    office.clock.advance(HOUR_MS);
    await alerts.raise(critical);
    const [told] = await got();
    expect(told).toContain('Too many complain');
    await alerts.raise(critical);
    office.clock.advance(2 * HOUR_MS);
    expect(await got()).toEqual([]);
    const open = (await alerts.open()).filter(({ key }) => key === critical.key);
    expect(open).toMatchObject([{ severity: 'critical' }]);
  });

  it('one that cannot be written down when it begins anew leaves the lesser one open: the owner read of neither', async () => {
    office.clock.advance(2 * HOUR_MS);
    const critical = { key: 'rates', severity: 'critical', message: 'Too many came back' } as const;
    await alerts.raise(critical);
    await got();
    await alerts.raise({ ...critical, severity: 'warning', message: 'Some came back' });
    await office.db.query(
      `alter table alert add constraint no_more check (message <> 'Too many came back') not valid`,
    );
    await expect(alerts.raise(critical)).rejects.toThrow('no_more');
    await office.db.query('alter table alert drop constraint no_more');
    const open = (await alerts.open()).filter(({ key }) => key === critical.key);
    expect(open).toMatchObject([{ severity: 'warning' }]);
    await alerts.resolve(critical.key);
  });

  it('one that could not go for a day goes no more', async () => {
    office.clock.advance(2 * HOUR_MS);
    await alerts.raise({ key: 'late', severity: 'critical', message: 'Nothing goes' });
    await mails.sendWaiting();
    office.clock.advance(25 * HOUR_MS);
    expect(await got()).toEqual([]);
    const rows: unknown[] = await office.db.query(
      `select state from message where step_key = 'alerts' order by id desc limit 1`,
    );
    expect(rows).toEqual([{ state: 'expired' }]);
  });
});
