import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MailDomainsService } from '../../../../src/delivery/pacing/mail-domains.service.js';
import { recipientGroupSql } from '../../../../src/delivery/pacing/recipient-group.js';
import type { Config } from '../../../../src/infra/config.js';
import { CONFIG } from '../../../../src/infra/config.js';
import { openPacing, type PacingApp } from './pacing-app.js';

const MX: Record<string, string[]> = {
  'company.example.com': ['aspmx.l.google.com', 'mx.example.net'],
  'office.example.com': ['office-example-com.mail.protection.outlook.com.'],
  'own.example.com': ['mx.own.example.com'],
  'nothing.example.com': [''],
};

describe('whose servers take the mail of a domain', () => {
  let t: PacingApp;
  let db: DataSource;
  let asked: string[];
  let domains: MailDomainsService;
  const signal = new AbortController().signal;
  beforeAll(async () => {
    t = await openPacing({ env: { SMTP_URL: 'smtp://relay.example.com' } });
    db = t.db;
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await db.query('truncate subscriber, mail_domain, setting cascade');
    asked = [];
    domains = serviceWith(t.app.get<Config>(CONFIG));
  });

  const serviceWith = (config: Config): MailDomainsService =>
    new MailDomainsService(
      db,
      {
        mx: async (domain) => {
          asked.push(domain);
          const hosts = MX[domain];
          if (!hosts) throw new Error('ENOTFOUND');
          return hosts.map((exchange, priority) => ({ exchange, priority }));
        },
      },
      config,
    );
  const subscribe = async (...emails: string[]): Promise<void> => {
    await db.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select x, x, 'active', now(), now() from unnest($1::text[]) x`,
      [emails],
    );
  };
  const known = async (): Promise<unknown> =>
    db.query('select domain, group_key as "group" from mail_domain order by domain');

  it('is found by MX for hosted domains, by name for well-known ones, and once for each', async () => {
    await subscribe('a@gmail.com', 'a@company.example.com', 'b@company.example.com', 'a@office.example.com');
    await subscribe('a@own.example.com', 'a@nothing.example.com', 'a@gone.example.com');
    expect(await domains.resolveNew({ signal })).toBe(6);
    expect(asked.toSorted()).toEqual([
      'company.example.com',
      'gone.example.com',
      'nothing.example.com',
      'office.example.com',
      'own.example.com',
    ]);
    expect(await known()).toEqual([
      { domain: 'company.example.com', group: 'gmail' },
      { domain: 'gmail.com', group: 'gmail' },
      { domain: 'gone.example.com', group: 'other' },
      { domain: 'nothing.example.com', group: 'other' },
      { domain: 'office.example.com', group: 'outlook' },
      { domain: 'own.example.com', group: 'other' },
    ]);
    expect(await domains.resolveNew({ signal })).toBe(0);
    expect(await domains.groupsOf(['company.example.com', 'yahoo.com', 'new.example.com'])).toEqual(
      new Map([
        ['company.example.com', 'gmail'],
        ['yahoo.com', 'yahoo'],
        ['new.example.com', 'other'],
      ]),
    );
    const rows: unknown = await db.query(
      `select ${recipientGroupSql('d.x')} as "group" from (values ('company.example.com')) d (x)`,
    );
    expect(rows).toEqual([{ group: 'gmail' }]);
  });

  it('is asked anew after a week, and a failure then changes nothing', async () => {
    await subscribe('a@company.example.com', 'a@gone.example.com');
    await domains.resolveNew({ signal });
    await db.query(`update mail_domain set checked_at = checked_at - interval '2 days'`);
    expect(await domains.resolveNew({ signal })).toBe(1);
    expect(asked.at(-1)).toBe('gone.example.com');
    await db.query(`update mail_domain set checked_at = checked_at - interval '6 days'`);
    const before = MX['company.example.com'] ?? [];
    delete MX['company.example.com'];
    expect(await domains.resolveNew({ signal })).toBe(2);
    MX['company.example.com'] = before;
    expect(await known()).toContainEqual({ domain: 'company.example.com', group: 'gmail' });
  });

  it('is found out for two hundred domains in a run, and for the rest in the next ones', async () => {
    await subscribe(...Array.from({ length: 450 }, (_, index) => `a@d${index}.example.com`));
    const runs = [];
    for (let run = 0; run < 4; run++) runs.push(await domains.resolveNew({ signal }));
    expect(runs).toEqual([200, 200, 50, 0]);
    expect(new Set(asked).size).toBe(450);
  });

  it('is asked of nobody while the built-in mailbox takes all mails, or when told to stop', async () => {
    await subscribe('a@company.example.com');
    expect(await serviceWith({ ...t.app.get<Config>(CONFIG), mailboxOn: true }).resolveNew({ signal })).toBe(
      0,
    );
    expect(await domains.resolveNew({ signal: AbortSignal.abort() })).toBe(0);
    expect(asked).toEqual([]);
    expect(await domains.resolveNew({ signal })).toBe(1);
  });
});
