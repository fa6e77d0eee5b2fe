import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DomainWatch } from '../../../../src/delivery/domains/domain-watch.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { dnsOf } from '../../../support/zone.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';
import { seedTemplate } from '../../../support/mail-seed.js';
import { empty } from '../../../support/database.js';

const DAY_MS = 86_400_000;
const GOOD = {
  'TXT example.com': ['v=spf1 ip4:192.0.2.1 -all'],
  'TXT _dmarc.example.com': ['v=DMARC1; p=reject; rua=mailto:dmarc@example.com'],
  'MX example.com': ['10 mx.example.com'],
  'A mx.example.com': ['192.0.2.25'],
};

describe('the daily look at the sending domains', () => {
  let t: PostOffice;
  let watch: DomainWatch;
  beforeEach(async () => {
    t = await openPostOffice({ SMTP_URL: 'smtp://127.0.0.1:1', BASE_URL: 'http://127.0.0.1:9' });
    watch = t.app.get(DomainWatch, { strict: false });
    await sendFrom(SENDER.email);
  });
  afterEach(async () => t.close());

  const sendFrom = async (email: string): Promise<void> => {
    await t.db.query(
      `insert into sequence (key, funnel_key, title, sender, created_at, updated_at) values ('kit', 'kit', 'Kit', $1, now(), now())
       on conflict (key) do update set sender = excluded.sender`,
      [JSON.stringify({ ...SENDER, email })],
    );
  };
  const openAlerts = async (): Promise<{ key: string; message: string }[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).filter(
      ({ key }) => key !== 'domain:(this installation)',
    );
  const nextDay = (): void => t.clock.advance(DAY_MS);

  it('is silent while all is well, tells the owner what broke, and says so when it is whole again', async () => {
    await watch.checkDaily({ dns: dnsOf(GOOD) });
    expect(await openAlerts()).toEqual([]);
    nextDay();
    const { 'TXT _dmarc.example.com': _, ...broken } = GOOD;
    await watch.checkDaily({ dns: dnsOf(broken) });
    const [alert, ...others] = await openAlerts();
    expect(others).toEqual([]);
    expect(alert).toMatchObject({
      key: 'domain:example.com',
      severity: 'warning',
      message: expect.stringMatching(
        /^The sending domain example\.com does not pass .* taken for spam\. DMARC: /,
      ),
      facts: { domain: 'example.com', failed: ['D3'] },
    });
    nextDay();
    await watch.checkDaily({ dns: dnsOf(GOOD) });
    expect(await openAlerts()).toEqual([]);
  });

  it('neither raises nor ends anything while the DNS gives no answer', async () => {
    const silent = dnsOf({});
    const fail = async (): Promise<never> => {
      throw Object.assign(new Error('no answer'), { code: 'ESERVFAIL' });
    };
    const dead = {
      ...silent,
      resolveTxt: fail,
      resolveMx: fail,
      resolve4: fail,
      resolve6: fail,
      reverse: fail,
    };
    await watch.checkDaily({ dns: dead });
    expect(await openAlerts()).toEqual([]);
    nextDay();
    await watch.checkDaily({ dns: silent });
    expect((await openAlerts()).map(({ key }) => key)).toEqual(['domain:example.com']);
    nextDay();
    await watch.checkDaily({ dns: dead });
    expect((await openAlerts()).map(({ key }) => key)).toEqual(['domain:example.com']);
  });

  it('asks once a day, and no longer of a domain that nothing is sent from', async () => {
    await watch.checkDaily({ dns: dnsOf({}) });
    t.clock.advance(3_600_000);
    await watch.checkDaily({ dns: dnsOf(GOOD) });
    expect((await openAlerts()).map(({ key }) => key)).toEqual(['domain:example.com']);
    nextDay();
    await empty(t.db, 'sequence');
    await watch.checkDaily({ dns: dnsOf(GOOD) });
    expect(await openAlerts()).toEqual([]);
  });

  it('no longer of one that a broadcast was sent from once: its alert came every day for ever', async () => {
    await empty(t.db, 'sequence');
    const templateId = await seedTemplate(t.db.manager, { subject: 'News', html: '', text: '', source: '' });
    await t.db.query(
      `insert into broadcast (title, email_template_id, sender, state, created_at) values ('News', $1, $2, 'scheduled', now())`,
      [templateId, JSON.stringify({ ...SENDER, email: 'news@given-up.example' })],
    );
    await watch.checkDaily({ dns: dnsOf({}) });
    expect((await openAlerts()).map(({ key }) => key)).toEqual(['domain:given-up.example']);
    for (const state of ['done', 'cancelled']) {
      await t.db.query('update broadcast set state = $1', [state]);
      nextDay();
      await watch.checkDaily({ dns: dnsOf({}) });
      expect(await openAlerts()).toEqual([]);
    }
  });

  it('is what the job of the application does', async () => {
    const rows = async (): Promise<unknown[]> =>
      t.db.query(`select key from alert where resolved_at is null`);
    expect(await rows()).toEqual([]);
    // It asks the real DNS, which need not be there; the address of this installation is judged without.
    await t.app.get(JobRunner, { strict: false }).run('delivery.check-domains');
    expect(await rows()).toEqual(expect.arrayContaining([{ key: 'domain:(this installation)' }]));
  });
});

it('asks nothing while the built-in mailbox takes all mail', async () => {
  const t = await openPostOffice();
  const asked: string[] = [];
  const dns = dnsOf({});
  await t.app.get(DomainWatch, { strict: false }).checkDaily({
    dns: { ...dns, resolveTxt: async (name) => (asked.push(name), dns.resolveTxt(name)) },
  });
  expect(asked).toEqual([]);
  await t.close();
});
