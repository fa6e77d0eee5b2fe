import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { Uncounted1765550000000 } from '../../../src/infra/database/migrations/1765550000000-uncounted.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { ownerPages } from '../../support/owner-pages.js';
import { newReader, preferencesForm, type Reader } from '../../support/reader.js';

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

/** Whoever opens and clicks the welcome mail, looks at the offer and buys, all in one browser. */
async function seenReader(email: string): Promise<Reader> {
  const reader = await newReader(t, email);
  for (const [path, status] of [
    [linkIn(reader.welcome, /\/o\//), 200],
    [linkIn(reader.welcome, /\/c\//), 302],
  ] as const)
    await t.http.get(path).set('User-Agent', BROWSER).expect(status);
  await t.app.get(HitRecorder).flush();
  const mail = await one('select max(id) as id from message where subscriber_id = $1', reader.id);
  const m = signToken(t.app.get<Config>(CONFIG).secretKey, 'message', encodeIds([String(mail['id'])]));
  await t.http.get(`/offer/launch-kit?m=${m}`).set('User-Agent', BROWSER).expect(200);
  await buy(reader, m);
  return reader;
}

async function buy({ email }: Reader, m: string): Promise<void> {
  const order = { email, name: 'Rita Reader', m };
  const checkout = t.http.post('/checkout/launch-kit').set('User-Agent', BROWSER).type('form');
  const placed = await checkout.send(order).expect(303);
  const pay = (placed.headers['location'] as string).replace(/^https?:\/\/[^/]+/, '');
  await t.http.post(pay).type('form').send({ outcome: 'paid' }).expect(303);
}

const one = async (sql: string, value: string): Promise<Record<string, unknown>> =>
  (await t.dataSource.query<Record<string, unknown>[]>(sql, [value]))[0] ?? {};

/** What is known of a reader by being counted, and what is known because they signed up and bought. */
const known = async ({ id }: Reader): Promise<Record<string, unknown>> =>
  one(
    `select (select count(*)::int from tracking_event e join message m on m.id = e.message_id where m.subscriber_id = $1) as hits,
       (select count(*)::int from visit v where v.subscriber_id = $1
          or v.message_id in (select m.id from message m where m.subscriber_id = $1)) as visits,
       (select count(*)::int from (
          select visitor_id, subscriber_id from conversion union all select visitor_id, subscriber_id from orders
          union all select visitor_id, subscriber_id from signup) k where k.subscriber_id = $1 and k.visitor_id is not null) as marks,
       (select count(*)::int from conversion c where c.subscriber_id = $1) as conversions`,
    id,
  );
const looks = async (): Promise<unknown> => t.dataSource.query('select count(*) from visit');

const form = (tracking: boolean) => preferencesForm({ topics: ['niche-ebook'], tracking });
const save = async ({ preferences }: Reader, tracking: boolean): Promise<void> => {
  await t.http.post(preferences).type('form').send(form(tracking)).expect(200);
};
const NOTHING = { hits: 0, visits: 0, marks: 0, conversions: 3 };

describe('who does not want to be counted any more', () => {
  it('is not known by what was seen before: hits, visits and the marks of their browser stayed', async () => {
    const [reader, other] = [await seenReader('seen@example.com'), await seenReader('other@example.com')];
    // Those of the sign-up and of the order; the sign-up itself needs none once it is confirmed.
    expect(await known(reader)).toEqual({ hits: 2, visits: 1, marks: 3, conversions: 3 });
    const before = await looks();
    await save(reader, false);
    expect(await known(reader)).toEqual(NOTHING);
    expect(await looks()).toEqual(before);
    expect(await known(other)).toEqual({ hits: 2, visits: 1, marks: 3, conversions: 3 });
  });

  it('keeps the order that they have open: a second one was made beside it', async () => {
    const reader = await newReader(t, 'between@example.com');
    const order = { email: reader.email, name: 'Rita Reader' };
    const checkout = async (): Promise<unknown> =>
      t.http.post('/checkout/launch-kit').set('User-Agent', BROWSER).type('form').send(order).expect(303);
    await checkout();
    await save(reader, false);
    await checkout();
    expect(
      await one('select count(*)::int as orders from orders where lower(email) = $1', reader.email),
    ).toEqual({
      orders: 1,
    });
  });

  it('leaves no mark by what they do then either', async () => {
    const reader = await newReader(t, 'quiet@example.com');
    await save(reader, false);
    await t.http.get(linkIn(reader.welcome, /\/c\//)).set('User-Agent', BROWSER).expect(302);
    await t.app.get(HitRecorder).flush();
    await buy(reader, '');
    await t.http.post('/p/niches').type('form').send({ email: reader.email }).expect(200);
    expect(await known(reader)).toEqual(NOTHING);
  });

  it('nor does it stay when they had said so to an earlier release', async () => {
    const [reader, other] = [await seenReader('early@example.com'), await seenReader('late@example.com')];
    await t.dataSource.query(
      `with declined as (update subscriber set tracking_consent = false where id = $1 returning id)
       insert into consent_event (subscriber_id, kind, purpose, at) select id, 'withdrawn', 'tracking', now() from declined`,
      [reader.id],
    );
    const runner = t.dataSource.createQueryRunner();
    await runner.startTransaction();
    await new Uncounted1765550000000().up(runner);
    await runner.commitTransaction();
    await runner.release();
    expect(await known(reader)).toEqual(NOTHING);
    expect(await known(other)).toMatchObject({ hits: 2, visits: 1 });
  });

  it('nor when an imported table says so: the row was called unchanged, and the next mail had its pixel', async () => {
    const [reader, other] = [await seenReader('table@example.com'), await seenReader('beside@example.com')];
    await t.http
      .post('/api/v1/imports')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({
        options: { existing: 'skip', columns: { tracked: 'trackingConsent' } },
        csv: `email,tracked\n${reader.email},false\n${other.email},true\nnew@example.com,false\n`,
      })
      .expect(201);
    await t.app.get(JobRunner).run('imports.run');
    await t.app.get(JobRunner).run('privacy.forget-seen');
    expect(await known(reader)).toEqual(NOTHING);
    expect(await known(other)).toMatchObject({ hits: 2, visits: 1 });
    const said = await t.dataSource.query(
      `select s.email, s.tracking_consent as counted, e.kind, e.page_url like 'import:%' as imported
         from subscriber s left join consent_event e on e.subscriber_id = s.id and e.purpose = 'tracking'
        where s.email in ($1, $2, 'new@example.com') order by s.email`,
      [reader.email, other.email],
    );
    expect(said).toEqual([
      { email: 'beside@example.com', counted: true, kind: null, imported: null },
      { email: 'new@example.com', counted: false, kind: 'withdrawn', imported: true },
      { email: 'table@example.com', counted: false, kind: 'withdrawn', imported: true },
    ]);
    t.clock.advance(5 * 86_400_000);
    await t.runDue();
    const next = (await t.mailsTo(reader.email)).at(-1);
    expect(next?.id).not.toBe(reader.welcome.id);
    expect(next?.html).not.toMatch(/\/[oc]\//);
  });

  it('nor when they told the owner, who could write it down nowhere', async () => {
    const [letter, program] = [
      await seenReader('letter@example.com'),
      await seenReader('program@example.com'),
    ];
    const owner = await ownerPages(t);
    const page = `/admin/subscribers/${letter.id}`;
    expect(await owner.get(page)).toContain(`action="${page}/stop-tracking"`);
    await owner.post(`${page}/stop-tracking`, {}).expect(303);
    expect(await owner.get(page)).not.toContain('stop-tracking');
    expect(await owner.get(page)).toMatch(/withdrawn, owner/);
    const { body } = await t.http
      .post(`/api/v1/subscribers/${program.id}/stop-tracking`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(body).toMatchObject({ trackingConsent: false });
    expect([await known(letter), await known(program)]).toEqual([NOTHING, NOTHING]);
  });

  it('kept the mark of their browser on an order that they never paid for ever: it goes after a day', async () => {
    const [old, late, counted] = [
      await newReader(t, 'old-order@example.com'),
      await newReader(t, 'late-order@example.com'),
      await newReader(t, 'counted@example.com'),
    ];
    const order = async ({ id, email }: Reader, fromMail: boolean): Promise<void> => {
      const mail = await one('select max(id) as id from message where subscriber_id = $1', id);
      const m = signToken(t.app.get<Config>(CONFIG).secretKey, 'message', encodeIds([String(mail['id'])]));
      const fields = { email, name: 'Rita Reader', ...(fromMail ? { m } : {}) };
      const checkout = t.http.post('/checkout/launch-kit').set('User-Agent', BROWSER).type('form');
      await checkout.send(fields).expect(303);
    };
    const marks = async ({ email }: Reader): Promise<unknown> =>
      (await one('select count(visitor_id)::int as n from orders where email = $1', email))['n'];
    await save(counted, true);
    for (const reader of [old, late, counted]) await order(reader, reader !== late);
    await save(late, false);
    expect([await marks(old), await marks(late), await marks(counted)]).toEqual([1, 1, 1]);
    t.clock.advance(25 * 3_600_000);
    await save(old, false);
    await t.app.get(JobRunner).run('orders.forget-marks');
    expect([await marks(old), await marks(late), await marks(counted)]).toEqual([0, 0, 1]);
  });
});
