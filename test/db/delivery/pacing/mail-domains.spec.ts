import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { QueueMoves } from '../../../../src/delivery/pacing/queue-moves.queries.js';
import { MailDomainsService } from '../../../../src/delivery/pacing/mail-domains.service.js';
import type { Config } from '../../../../src/infra/config.js';
import { CONFIG } from '../../../../src/infra/config.js';
import { insertMessage, openPacing, type PacingApp } from './pacing-app.js';
import { empty } from '../../../support/database.js';

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
  /** How the DNS fails to answer about a domain. */
  let failing: (domain: string) => string | undefined;
  let domains: MailDomainsService;
  const signal = new AbortController().signal;
  beforeAll(async () => {
    t = await openPacing({ env: { SMTP_URL: 'smtp://relay.example.com' } });
    db = t.db;
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await empty(db, 'subscriber, mail_domain, setting');
    asked = [];
    failing = () => undefined;
    domains = serviceWith(t.app.get<Config>(CONFIG));
  });

  const serviceWith = (config: Config): MailDomainsService =>
    new MailDomainsService(
      db,
      {
        mx: async (domain) => {
          asked.push(domain);
          const hosts = MX[domain];
          const code = failing(domain) ?? (hosts ? null : 'ENOTFOUND');
          if (!hosts || code !== null) throw Object.assign(new Error(`queryMx ${code}`), { code });
          return hosts.map((exchange, priority) => ({ exchange, priority }));
        },
      },
      new QueueMoves(db),
      config,
    );
  const subscribe = async (...emails: string[]): Promise<void> => {
    await db.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select x, x, 'active', now(), now() from unnest($1::text[]) x`,
      [emails],
    );
  };
  const queues = async (): Promise<unknown> =>
    db.query('select lane_key as queue, count(*)::int from message group by 1 order by 1');
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

  it('is asked anew although it was last on a clock that was thirty days ahead', async () => {
    await subscribe('a@company.example.com');
    await domains.resolveNew({ signal });
    expect(await domains.resolveNew({ signal })).toBe(0);
    await db.query(`update mail_domain set checked_at = checked_at + interval '30 days'`);
    expect(await domains.resolveNew({ signal })).toBe(1);
  });

  it.each(['ECONNREFUSED', 'ESERVFAIL', 'ETIMEOUT'])(
    'is found as soon as the DNS is back that gave no answer (%s): a whole list went as of all others for a day',
    async (code) => {
      failing = () => code;
      await subscribe(
        'a@company.example.com',
        ...Array.from({ length: 300 }, (_, n) => `a@d${n}.example.com`),
      );
      expect(await domains.resolveNew({ signal })).toBe(0);
      expect(await known()).toEqual([]);
      // It is not asked about all of them in vain.
      expect(asked.length).toBeLessThan(200);
      failing = () => undefined;
      expect(await domains.resolveNew({ signal })).toBe(301);
      expect(await known()).toContainEqual({ domain: 'company.example.com', group: 'gmail' });
    },
  );

  it('is asked anew after an hour of one domain about which nothing was answered, while the DNS works', async () => {
    failing = (domain) => (domain === 'company.example.com' ? 'ESERVFAIL' : undefined);
    await subscribe('a@company.example.com', 'a@own.example.com');
    expect(await domains.resolveNew({ signal })).toBe(2);
    failing = () => undefined;
    expect(await domains.resolveNew({ signal })).toBe(0);
    await db.query(`update mail_domain set checked_at = checked_at - interval '61 minutes'`);
    expect(await domains.resolveNew({ signal })).toBe(1);
    expect(await known()).toContainEqual({ domain: 'company.example.com', group: 'gmail' });
  });

  it('is found out for a whole new list in one run, those of most subscribers first: it took hours', async () => {
    const many = Array.from({ length: 450 }, (_, index) => `a@d${index}.example.com`);
    await subscribe(...many, 'b@d449.example.com', 'b@d448.example.com', 'c@d448.example.com');
    expect(await domains.resolveNew({ signal })).toBe(450);
    expect(new Set(asked).size).toBe(450);
    expect(asked.slice(0, 2)).toEqual(['d448.example.com', 'd449.example.com']);
    expect(await domains.resolveNew({ signal })).toBe(0);
  });

  it('goes on where a run was ended, and asks for nothing twice', async () => {
    await subscribe(...Array.from({ length: 450 }, (_, index) => `a@d${index}.example.com`));
    const stop = new AbortController();
    const first = domains.resolveNew({ signal: stop.signal });
    while (asked.length < 100) await new Promise(setImmediate);
    stop.abort();
    const done = await first;
    expect(done).toBeGreaterThanOrEqual(100);
    expect(await domains.resolveNew({ signal })).toBe(450 - done);
    expect([asked.length, new Set(asked).size]).toEqual([450, 450]);
  });

  it('moves what is ready to the queue of its receiver when that is found: it went as of all others', async () => {
    await empty(db, 'message');
    await subscribe('a@company.example.com', 'a@own.example.com');
    const to = async (address: string, change = {}): Promise<string> =>
      insertMessage(db, { address, ...change });
    const ids = [
      await to('A@Company.example.com'),
      await to('a@own.example.com'),
      await to('b@company.example.com', { lane_key: 'news.example.com|other' }),
      await to('c@company.example.com', { state: 'accepted' }),
      await to('d@company.example.com', { lane_key: 'default' }),
    ];
    await domains.resolveNew({ signal });
    const rows: { id: string; queue: string }[] = await db.query('select id, lane_key as queue from message');
    expect(ids.map((id) => rows.find((row) => row.id === id)?.queue)).toEqual([
      'example.com|gmail',
      'example.com|other',
      'news.example.com|gmail',
      'example.com|other',
      'default',
    ]);
  });

  it('has what is ready read once in a run, and only when a receiver was found: each run read all of it for each receiver', async () => {
    await empty(db, 'message');
    await subscribe('a@company.example.com', 'a@office.example.com', 'a@own.example.com');
    await insertMessage(db, { address: 'a@company.example.com' });
    await insertMessage(db, { address: 'a@office.example.com' });
    const statements = vi.spyOn(db, 'query');
    const readings = (): number =>
      statements.mock.calls.filter(([sql]) =>
        /from message m where m.state = 'ready' and m.lane_key =/.test(sql),
      ).length;
    try {
      await domains.resolveNew({ signal });
      expect(await queues()).toEqual([
        { queue: 'example.com|gmail', count: 1 },
        { queue: 'example.com|outlook', count: 1 },
      ]);
      expect(readings()).toBe(1);
      await insertMessage(db);
      await db.query(`update mail_domain set checked_at = checked_at - interval '8 days'`);
      expect(await domains.resolveNew({ signal })).toBe(3);
      expect(readings()).toBe(1);
    } finally {
      statements.mockRestore();
    }
  });

  it('moves what is ready page by page, and stops when it is told to', async () => {
    await empty(db, 'message');
    await insertMessage(db, { address: 'a0@company.example.com' });
    await db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at, created_at, lane_key)
       select 'page:' || n, class, kind, email_template_id, sender, 'a@' || case n % 2 when 0 then 'company' else 'own' end || '.example.com',
         address_hash, '<page-' || n || '@example.com>', due_at + n % 7 * interval '1 microsecond', created_at, lane_key
       from message, generate_series(1, 10100) n`,
    );
    const to = new Map([['company.example.com', 'gmail']]);
    expect(await new QueueMoves(db).move(to, { signal: AbortSignal.abort() })).toBe(0);
    expect(await new QueueMoves(db).move(to)).toBe(5_051);
    expect(await queues()).toEqual([
      { queue: 'example.com|gmail', count: 5_051 },
      { queue: 'example.com|other', count: 5_050 },
    ]);
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
