import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandContext } from '../../../../src/application.js';
import { DomainCheckService } from '../../../../src/delivery/domains/domain-check.service.js';
import { doctor } from '../../../../src/commands/doctor.probe.js';
import type { Config } from '../../../../src/infra/config.js';
import { dnsOf } from '../../../support/zone.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('the check of sending domains', () => {
  let t: PostOffice;
  beforeAll(async () => {
    // Nothing listens there: the certificate cannot be seen, and that must not take long.
    t = await openPostOffice({
      BASE_URL: 'https://127.0.0.1:9',
      BOUNCE_DOMAIN: 'b.example.com',
      SMTP_URL: 'smtp://127.0.0.1:9',
    });
    await t.db.query(
      `insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
       values ('s', 'f', 'S', '{"email": "ada@Bücher.example"}', now(), now())`,
    );
  });
  afterAll(async () => t.close());
  const contextOf = (config: Config): CommandContext => ({
    config,
    dataSource: t.db,
    app: t.app,
    migrated: [],
    close: async () => undefined,
  });

  it('looks at each domain that something sends from, and at the address of the installation', async () => {
    const dns = dnsOf({ 'TXT b.example.com': ['v=spf1 ip4:192.0.2.1 -all'] });
    const service = t.app.get(DomainCheckService, { strict: false });
    const reports = await service.check(await service.senderDomains(), { dns, ip: '192.0.2.1' });
    expect(reports.map(({ domain }) => domain)).toEqual(['xn--bcher-kva.example', null]);
    const [ofDomain, ofHost] = reports.map(({ findings }) =>
      findings.map(({ id, level }) => `${id} ${level}`),
    );
    expect(ofDomain).toEqual(['D1 ok', 'D2 warn', 'D3 fail', 'D4 fail', 'D5 fail', 'D8 ok', 'D9 ok']);
    expect(ofHost).toEqual(['D6 fail', 'D7 unknown']);
  });

  it('is part of doctor, which fails for what must be put right and for nothing else', async () => {
    const relays = t.config.relays.map((relay) => ({ ...relay, url: t.sink.url }));
    const context = contextOf({ ...t.config, relays });
    const checks = await doctor(context, { domains: ['example.com'], dns: dnsOf({}) });
    const levels = Object.fromEntries(checks.map(({ name, level, ok }) => [name, `${level} ${ok}`]));
    expect(levels).toMatchObject({
      database: 'ok true',
      'mail relay': 'ok true',
      'D1 SPF of example.com': 'fail false',
      'D2 DKIM of example.com': 'warn true',
      'D8 own domain of example.com': 'ok true',
      'D7 https': 'unknown true',
    });
    const mistyped = await doctor(context, { domains: ['not a domain'], dns: dnsOf({}) });
    expect(mistyped.at(-1)).toMatchObject({ name: 'sending domains', level: 'fail' });
  });

  it('says with the built-in mailbox that no mail leaves, without asking the DNS', async () => {
    const dns = dnsOf({});
    const checks = await doctor(contextOf({ ...t.config, mailboxOn: true }), { dns });
    expect(checks.at(-1)).toMatchObject({ name: 'sending domains', level: 'ok' });
    expect(dns.questions).toEqual([]);
  });
});
