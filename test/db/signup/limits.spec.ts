import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { startTestApp, type TestApp } from '../../support/app.js';

/** A sign-up without the token of the form counts three of thirty. */
const PRESSES_PER_BLOCK = 10;
const WINDOW_SECONDS = 600;

let count = 0;
const address = (): string => `visitor${++count}@example.com`;

describe('the limit on sign-ups behind a proxy that is trusted', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp({ variables: { TRUST_PROXY: '1' } });
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    await t.dataSource.query('delete from rate_limit');
  });

  const signUp = (forwardedFor: string, email = address()) =>
    t.http.post('/p/niches').set('X-Forwarded-For', forwardedFor).type('form').send({ email });
  const fill = async (from: string): Promise<void> => {
    for (let press = 0; press < PRESSES_PER_BLOCK; press++) await signUp(from).expect(200);
  };

  it('counts each network for itself, and ends to the millisecond', async () => {
    await fill('203.0.113.9');
    const refused = await signUp('203.0.113.77').expect(429);
    expect(refused.headers['retry-after']).toBe(String(WINDOW_SECONDS));
    await signUp('203.0.114.9').expect(200);
    t.clock.advance(WINDOW_SECONDS * 1000 - 1);
    expect((await signUp('203.0.113.9').expect(429)).headers['retry-after']).toBe('1');
    t.clock.advance(1);
    await signUp('203.0.113.9').expect(200);
  });

  it('tells a form on another site when to come back', async () => {
    await fill('203.0.113.9');
    t.clock.advance(60_000);
    const refused = await t.http
      .post('/api/public/forms/niches')
      .set('X-Forwarded-For', '203.0.113.9')
      .send({ email: address() })
      .expect(429);
    expect(refused.headers['retry-after']).toBe(String(WINDOW_SECONDS - 60));
    expect(refused.body).toMatchObject({ code: 'SIGNUP_RATE_LIMITED' });
  });

  it('takes no form that comes back faster than anybody types, and does not say so', async () => {
    const sendAfter = async (ms: number, email: string): Promise<string> => {
      const page = await t.http.get('/p/niches').set('X-Forwarded-For', '203.0.113.9');
      const token = /name="t" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
      t.clock.advance(ms);
      const fields = { email, t: token };
      const sent = t.http.post('/p/niches').set('X-Forwarded-For', '203.0.113.9').type('form').send(fields);
      return (await sent.expect(200)).text;
    };
    const [fast, slow] = [address(), address()];
    await sendAfter(799, fast);
    await sendAfter(800, slow);
    const known: unknown[] = await t.dataSource.query('select email from subscriber where email = any($1)', [
      [fast, slow],
    ]);
    expect(known).toEqual([{ email: slow }]);
  });

  it('mails a mailbox five times an hour, however its address is spelled', async () => {
    const spelled = ['v.ictim', 'vi.ctim', 'victim+1', 'victim+2', 'victim+3', 'victim+4', 'victim+5'];
    for (const [n, local] of spelled.entries())
      await signUp(`198.51.${n}.1`, `${local}@gmail.com`).expect(200);
    const mails: unknown[] = await t.dataSource.query(
      `select 1 from message where kind = 'confirmation' and address like 'v%@gmail.com'`,
    );
    expect(mails).toHaveLength(5);
  });

  it('mails a mailbox ten times a day, however its address is spelled: it was five times in each hour', async () => {
    const mailed = async (): Promise<number> =>
      (await t.dataSource.query(`select 1 from message where address like 'flooded%@example.org'`)).length;
    const hour = async (n: number): Promise<void> => {
      for (let press = 0; press < 6; press++)
        await signUp(`198.51.${n}.1`, `flooded+${n}x${press}@example.org`).expect(200);
    };
    for (let n = 0; n < 4; n++) {
      await hour(n);
      expect(await mailed()).toBe(Math.min(10, 5 * (n + 1)));
      t.clock.advance(3_600_000);
    }
    t.clock.advance(86_400_000);
    await hour(4);
    expect(await mailed()).toBe(15);
  });

  it('believes the proxy alone: what the visitor wrote before it is not looked at', async () => {
    await fill('198.51.100.1, 203.0.113.9');
    expect((await signUp('198.51.100.2, 203.0.113.9')).status).toBe(429);
  });

  it('keeps the address of the visitor as evidence of the consent, and none that is no address', async () => {
    const [visitor, strange] = [address(), address()];
    await signUp('203.0.113.9', visitor).expect(200);
    await signUp('unknown', strange).expect(200);
    await signUp('fe80::1%eth0').expect(200);
    const rows: { email: string; ip: string | null }[] = await t.dataSource.query(
      `select s.email, host(c.ip) as ip from consent_event c join subscriber s on s.id = c.subscriber_id
        where s.email = any($1) order by s.id`,
      [[visitor, strange]],
    );
    expect(rows).toEqual([
      { email: visitor, ip: '203.0.113.9' },
      { email: strange, ip: null },
    ]);
  });
});

describe('the limit on sign-ups without a trusted proxy', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  it('is not evaded by a made-up X-Forwarded-For', async () => {
    for (const forwardedFor of ['203.0.113.9', '198.51.100.9', '192.0.2.9'])
      await t.http
        .post('/p/niches')
        .set('X-Forwarded-For', forwardedFor)
        .type('form')
        .send({ email: address() })
        .expect(200);
    const counted: { key: string; points: number }[] = await t.dataSource.query(
      `select key, points from rate_limit where key not like 'signup-address%'`,
    );
    expect(counted).toEqual([{ key: 'signup-loopback:127.0.0', points: 3 }]);
    const ips: { ip: string }[] = await t.dataSource.query(
      'select distinct host(ip) as ip from consent_event',
    );
    expect(ips).toEqual([{ ip: '127.0.0.1' }]);
  });

  it('lets an address be asked five times an hour, and tells nobody about the sixth', async () => {
    const email = address();
    const texts: string[] = [];
    for (let press = 0; press < 6; press++)
      texts.push((await t.http.post('/p/niches').type('form').send({ email }).expect(200)).text);
    expect(new Set(texts).size).toBe(1);
    const granted = async (): Promise<number> => {
      const rows: { n: number }[] = await t.dataSource.query(
        `select count(*)::int as n from consent_event c join subscriber s on s.id = c.subscriber_id where s.email = $1`,
        [email],
      );
      return rows[0]?.n ?? 0;
    };
    expect(await granted()).toBe(5);
    t.clock.advance(3_600_000);
    await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    expect(await granted()).toBe(6);
  });

  it('counts every one of many sign-ups at the same moment', async () => {
    await t.dataSource.query('delete from rate_limit');
    await Promise.all(
      Array.from({ length: 20 }, () => t.http.post('/p/niches').type('form').send({ email: address() })),
    );
    const rows: { points: number }[] = await t.dataSource.query(
      `select points from rate_limit where key = 'signup-loopback:127.0.0'`,
    );
    expect(rows).toEqual([{ points: 20 }]);
  });

  it('forgets windows that are over', async () => {
    const runner = t.app.get(JobRunner);
    await runner.run('limits.remove-expired');
    const left = async (): Promise<number> => (await t.dataSource.query('select 1 from rate_limit')).length;
    expect(await left()).toBeGreaterThan(0);
    t.clock.advance(86_400_000);
    await runner.run('limits.remove-expired');
    expect(await left()).toBe(0);
  });
});
