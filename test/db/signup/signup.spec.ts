import { Script } from 'node:vm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { UndeliverableService } from '../../../src/subscribers/undeliverable.service.js';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';

const DAY_MS = 86_400_000;

let t: TestApp;
let count = 0;
let reader: string;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());
beforeEach(() => {
  reader = `reader${++count}@example.com`;
});

const signUp = (fields: object) => t.http.post('/p/niches').type('form').send(fields);
const only = async (sql: string, values: unknown[] = []): Promise<Record<string, unknown> | undefined> =>
  (await t.dataSource.query<Record<string, unknown>[]>(sql, values))[0];
const statusOf = async (email: string) =>
  (await only('select status from subscriber where email_key = $1', [email]))?.status;
const setStatus = (email: string, status: string) =>
  t.dataSource.query('update subscriber set status = $2 where email_key = $1', [email, status]);
const planned = async (email: string) =>
  (await only(`select count(*)::int as n from message where address = $1 and kind = 'confirmation'`, [email]))
    ?.n;
const confirmations = async (email: string): Promise<number | undefined> =>
  (
    await only(
      `select count(*)::int as n from conversion c join subscriber s on s.id = c.subscriber_id
     where s.email_key = $1 and c.kind = 'confirmation'`,
      [email],
    )
  )?.n as number | undefined;
const confirmLink = async (email: string): Promise<string> => {
  await t.runDue();
  const mails = await t.mailsTo(email);
  return linkIn(mails.findLast(({ html }) => html.includes('/confirm/')) as TestMail, /\/confirm\//);
};
const optOut = (email: string) =>
  t.dataSource.query(
    `insert into topic_opt_out (subscriber_id, topic_key, created_at) select id, 'niche-ebook', now() from subscriber where email_key = $1`,
    [email],
  );
const isOptedOut = async (email: string): Promise<boolean> =>
  (await only(
    'select 1 from topic_opt_out o join subscriber s on s.id = o.subscriber_id where s.email_key = $1',
    [email],
  )) !== undefined;
const confirmed = async (email: string): Promise<string> => {
  await signUp({ email }).expect(200);
  const link = await confirmLink(email);
  await t.http.post(link).expect(200);
  return link;
};

describe('the squeeze page', () => {
  it('answers the same for new, pending, active, unsubscribed and bounced addresses', async () => {
    const page = async (): Promise<string> => (await signUp({ email: reader }).expect(200)).text;
    const pages = [await page(), await page()];
    for (const status of ['active', 'unsubscribed', 'bounced', 'complained']) {
      await setStatus(reader, status);
      await t.dataSource.query('delete from rate_limit');
      pages.push(await page());
    }
    expect(new Set(pages).size).toBe(1);
  });

  const asked = async (wait = 0): Promise<unknown> => {
    t.clock.advance(wait);
    await t.dataSource.query('delete from rate_limit');
    await signUp({ email: reader }).expect(200);
    return planned(reader);
  };
  const ended = (state: string) =>
    t.dataSource.query(`update message set state = $2 where address = $1 and kind = 'confirmation'`, [
      reader,
      state,
    ]);

  it('sends one confirmation in 24 hours, three at first and then one in 30 days: a stranger could have three sent each month, for ever', async () => {
    for (const [wait, expected] of [
      [0, 1],
      [DAY_MS - 1, 1],
      [1, 2],
      [DAY_MS, 3],
      [DAY_MS, 3],
      [29 * DAY_MS - 1, 3],
      [1, 4],
      [DAY_MS, 4],
      [29 * DAY_MS - 1, 4],
      [1, 5],
      [365 * DAY_MS, 6],
      [DAY_MS, 6],
    ] as const)
      expect(await asked(wait)).toBe(expected);
  });

  it.each(['rejected', 'expired', 'suppressed', 'cancelled'])(
    'asks again at once whose confirmation was %s and never came: it took a day, and three times locked them out',
    async (state) => {
      for (let count = 1; count <= 3; count++) {
        expect(await asked()).toBe(count);
        await ended(state);
      }
      // Enough of what a relay refuses, until tomorrow: a stranger could have four tried each day, for ever.
      const failed = state === 'rejected' || state === 'expired';
      for (let day = 1; day <= 3; day++) {
        expect(await asked()).toBe(failed ? 2 + day : 2 + 2 * day);
        await ended(state);
        expect(await asked(DAY_MS)).toBe(failed ? 3 + day : 3 + 2 * day);
        await ended(state);
      }
    },
  );

  it.each(['unknown', 'held', 'accepted'])(
    'asks nobody again on the same day whose confirmation is %s, as it may have come or may come',
    async (state) => {
      expect(await asked()).toBe(1);
      await ended(state);
      expect(await asked()).toBe(1);
      expect(await asked(DAY_MS)).toBe(2);
    },
  );

  it('keeps what was typed, escaped, and says what to change', async () => {
    const answer = await signUp({ email: '<b>"no', name: 'A'.repeat(101) }).expect(422);
    expect(answer.text).toContain('&lt;b&gt;');
    expect(answer.text).not.toContain('<b>"no');
    expect(answer.text).toContain('id="name-error"');
  });

  it('stores nothing for whoever fills in the trap, and answers with a page all the same', async () => {
    await signUp({ email: reader, website: 'https://example.com' }).expect(200);
    expect(await statusOf(reader)).toBeUndefined();
  });

  it('has no page for an unknown form', async () => {
    const answers = [
      await t.http.get('/p/none'),
      await t.http.post('/p/none').type('form').send({ email: reader }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    expect(await statusOf(reader)).toBeUndefined();
  });

  it('refuses with 429 above the limit of an address block and keeps what was typed', async () => {
    await t.dataSource.query(`insert into rate_limit (key, points, expire)
      values ('signup-loopback:127.0.0', 100000, 9000000000000) on conflict (key) do update set points = 100000, expire = 9000000000000`);
    const answer = await signUp({ email: reader }).expect(429);
    await t.dataSource.query('delete from rate_limit');
    expect(answer.text).toContain(reader);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(await statusOf(reader)).toBeUndefined();
  });

  it('makes one subscriber, one sign-up and one mail of five presses at once', async () => {
    await Promise.all(Array.from({ length: 5 }, () => signUp({ email: reader }).expect(200)));
    expect(await planned(reader)).toBe(1);
    expect(
      await only(
        `select count(*)::int as n from conversion c join subscriber s on s.id = c.subscriber_id
      where s.email_key = $1 and c.kind = 'signup'`,
        [reader],
      ),
    ).toEqual({ n: 1 });
  });
});

describe('confirming', () => {
  it('happens by the button alone, and once, also when it is pressed twice at the same moment', async () => {
    await signUp({ email: reader }).expect(200);
    const link = await confirmLink(reader);
    await t.http.get(link).expect(200);
    await t.http.head(link).expect(200);
    expect(await statusOf(reader)).toBe('pending');
    const answers = await Promise.all([t.http.post(link), t.http.post(link), t.http.post(link)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers.map(({ text }) => text.includes('/download/'))).toEqual([true, true, true]);
    expect(await statusOf(reader)).toBe('active');
    expect(await confirmations(reader)).toBe(1);
    const kinds: { kind: string }[] = await t.dataSource.query(
      `select c.kind from consent_event c join subscriber s on s.id = c.subscriber_id where s.email_key = $1 order by c.id`,
      [reader],
    );
    expect(kinds.map(({ kind }) => kind)).toEqual(['granted', 'confirmed']);
  });

  it('is refused for a forged link', async () => {
    const answers = [await t.http.get('/confirm/AAAA'), await t.http.post('/confirm/AAAA')];
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
  });

  it.each([
    ['bounced', 'hard_bounce'],
    ['complained', 'complaint'],
  ] as const)('does not lift %s', async (status, reason) => {
    await signUp({ email: reader }).expect(200);
    const link = await confirmLink(reader);
    const about = { addressHash: t.app.get(SuppressionsService).hash(reader), source: 'test' };
    const subscriberId = String((await only('select id from subscriber where email = $1', [reader]))?.['id']);
    await t.dataSource.transaction(async (manager) =>
      t.app.get(UndeliverableService).giveUp(manager, reason, { ...about, subscriberId }),
    );
    await t.http.post(link).expect(409);
    expect(await statusOf(reader)).toBe(status);
    expect(await confirmations(reader)).toBe(0);
    expect(
      await only(
        `select g.status from signup g join subscriber s on s.id = g.subscriber_id where s.email_key = $1`,
        [reader],
      ),
    ).toEqual({ status: 'pending' });
  });

  it('does not bring back by an old link somebody who has left, but does by a new sign-up', async () => {
    const link = await confirmed(reader);
    await setStatus(reader, 'unsubscribed');
    await t.http.post(link).expect(410);
    expect(await statusOf(reader)).toBe('unsubscribed');
    t.clock.advance(DAY_MS);
    await signUp({ email: reader }).expect(200);
    await t.http.post(await confirmLink(reader)).expect(200);
    expect(await statusOf(reader)).toBe('active');
    expect(await confirmations(reader)).toBe(1);
  });
});

describe('somebody on the list who has left this topic', () => {
  it('is asked when they sign up again, and gets its mails from then on; the page promised a mail that never came', async () => {
    await confirmed(reader);
    await optOut(reader);
    t.clock.advance(DAY_MS);
    await signUp({ email: reader }).expect(200);
    expect(await isOptedOut(reader)).toBe(true);
    await t.http.post(await confirmLink(reader)).expect(200);
    expect(await isOptedOut(reader)).toBe(false);
    expect(await confirmations(reader)).toBe(1);
  });
});

describe('somebody who has confirmed and fills in the form again', () => {
  const enrollments = async (): Promise<unknown> =>
    (
      await only(
        'select count(*)::int as n from enrollment e join subscriber s on s.id = e.subscriber_id where s.email_key = $1',
        [reader],
      )
    )?.['n'];
  const joinsAgain = async (reentry: object | null): Promise<void> => {
    await t.dataSource.query(
      `update sequence_version v set definition = (v.definition - 'reentry')
         || case when $1::jsonb is null then '{}' else jsonb_build_object('reentry', $1::jsonb) end
       from sequence q where q.key = 'niche-ebook' and v.id = q.current_version_id`,
      [reentry === null ? null : JSON.stringify(reentry)],
    );
  };
  afterEach(async () => joinsAgain(null));

  it.each([
    ['double', { mode: 'always' }, 2],
    ['double', null, 1],
    ['single', { mode: 'always' }, 2],
  ])(
    'gets the mail that the page promises, and with its press what they asked for: %s, %j',
    async (optIn, reentry, times) => {
      await confirmed(reader);
      await t.dataSource.query(
        `update enrollment set status = 'completed', step_key = null, next_at = null, ended_at = $2
       where subscriber_id = (select id from subscriber where email_key = $1)`,
        [reader, t.clock.now()],
      );
      await joinsAgain(reentry);
      await t.dataSource.query(`update form set opt_in = $1 where slug = 'niches'`, [optIn]);
      t.clock.advance(30 * DAY_MS);
      for (const mails of [2, 2]) {
        await t.dataSource.query('delete from rate_limit');
        await signUp({ email: reader }).expect(200);
        expect(await planned(reader)).toBe(mails);
      }
      await t.dataSource.query(`update form set opt_in = 'double' where slug = 'niches'`);
      // Whoever typed the address: the press alone counts, and once.
      expect(await enrollments()).toBe(1);
      const link = await confirmLink(reader);
      const answers = [await t.http.post(link), await t.http.post(link)];
      expect(answers.map(({ text }) => text.includes('/download/'))).toEqual([true, true]);
      expect(await enrollments()).toBe(times);
      expect(await confirmations(reader)).toBe(1);
    },
  );
});

describe('single opt-in', () => {
  beforeAll(() => t.dataSource.query(`update form set opt_in = 'single' where slug = 'niches'`));
  afterAll(() => t.dataSource.query(`update form set opt_in = 'double' where slug = 'niches'`));

  it('confirms at once', async () => {
    await signUp({ email: reader }).expect(200);
    expect(await statusOf(reader)).toBe('active');
    expect(await planned(reader)).toBe(0);
  });

  it('says the same to who is known already, and promises nobody what does not come', async () => {
    const page = async (): Promise<string> => (await signUp({ email: reader }).expect(200)).text;
    const first = await page();
    expect(first).toContain('a mail whose button you have to press first');
    expect(first).not.toMatch(/you are in|Your address is confirmed/);
    expect(await page()).toBe(first);
    expect(await planned(reader)).toBe(1);
  });

  it('asks somebody who has left, so that a stranger cannot put them back on the list', async () => {
    await signUp({ email: reader }).expect(200);
    await setStatus(reader, 'unsubscribed');
    await signUp({ email: reader }).expect(200);
    expect(await statusOf(reader)).toBe('unsubscribed');
    expect(await planned(reader)).toBe(1);
  });
});

describe('single opt-in of somebody who has left this topic', () => {
  beforeAll(() => t.dataSource.query(`update form set opt_in = 'single' where slug = 'niches'`));
  afterAll(() => t.dataSource.query(`update form set opt_in = 'double' where slug = 'niches'`));

  it('asks them: a stranger who typed their address lifted the opt-out', async () => {
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at) values ($1, $1, 'active', now(), now())`,
      [reader],
    );
    await optOut(reader);
    await signUp({ email: reader }).expect(200);
    expect(await isOptedOut(reader)).toBe(true);
    expect(await planned(reader)).toBe(1);
  });
});

describe('the embedded form', () => {
  it('is one script without cookies', async () => {
    const answer = await t.http
      .get('/f/niches.js')
      .expect(200)
      .expect('content-type', /javascript/);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(() => new Script(answer.text)).not.toThrow();
    expect(answer.text).toContain('/api/public/forms/niches');
    await t.http.get('/f/none.js').expect(404);
  });

  it('takes JSON from any site and names what is wrong', async () => {
    const post = (body: object) =>
      t.http.post('/api/public/forms/niches').set('Origin', 'https://blog.example').send(body);
    await t.http
      .options('/api/public/forms/niches')
      .set('Origin', 'https://blog.example')
      .expect(204)
      .expect('access-control-allow-origin', '*');
    const answer = await post({ email: reader, name: 'Ada' })
      .expect(202)
      .expect('access-control-allow-origin', '*');
    expect(answer.body).toEqual({ status: 'check_inbox' });
    expect(await statusOf(reader)).toBe('pending');
    const mistyped = await post({ email: 'ada@gmial.com' }).expect(202);
    expect(mistyped.body).toEqual({ status: 'check_inbox', suggestion: 'ada@gmail.com' });
    const refused = await post({ email: 'ada' }).expect(422).expect('access-control-allow-origin', '*');
    expect(refused.body.errors).toMatchObject([{ field: 'email' }]);
  });

  it('lets scripts of any site read why it refused them, also what was no sign-up at all', async () => {
    const post = (body: string, type = 'application/json') =>
      t.http.post('/api/public/forms/niches').set('Origin', 'https://blog.example').type(type).send(body);
    for (const [answer, status] of [
      [await post('{"email":5}'), 422],
      [await post('{"email":'), 400],
      [await post('email=ada', 'text/csv'), 415],
      [await t.http.post('/api/public/forms/none').send({ email: reader }), 404],
    ] as const) {
      expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([status, '*']);
      expect(answer.headers['access-control-expose-headers']).toBe('retry-after');
    }
  });
});
