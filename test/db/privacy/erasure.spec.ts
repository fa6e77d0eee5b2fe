import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { OrdersService } from '../../../src/orders/orders.service.js';
import { DataRequestService } from '../../../src/privacy/data-request.service.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { gate, untilWaiting } from '../../support/database.js';
import { newReader, type Reader } from '../../support/reader.js';

/** Words that occur nowhere else, in everything a person can leave behind. */
const CANARY = 'zanzibarine';
const BROWSER = `Mozilla/5.0 (X11; Linux x86_64) ${CANARY} Firefox/140.0`;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

/** `table.column` of every place in the database where the word stands, as text. */
async function traces(word: string): Promise<string[]> {
  const columns: { table: string; column: string; type: string }[] = await t.dataSource.query(
    `select c.table_name as "table", c.column_name as "column", c.data_type as type from information_schema.columns c
     join information_schema.tables k using (table_schema, table_name)
     where c.table_schema = 'public' and k.table_type = 'BASE TABLE' order by 1, 2`,
  );
  const found: string[] = [];
  for (const { table, column, type } of columns) {
    const text = type === 'bytea' ? `encode("${column}", 'escape')` : `"${column}"::text`;
    const rows: unknown[] = await t.dataSource.query(
      `select 1 from "${table}" where ${text} ilike '%' || $1 || '%' limit 1`,
      [word],
    );
    if (rows.length > 0) found.push(`${table}.${column}`);
  }
  return found;
}

const buy = async (reader: Reader, outcome: 'paid' | 'none', email = reader.email): Promise<string> => {
  const messageId = signToken(
    t.app.get<Config>(CONFIG).secretKey,
    'message',
    encodeIds([
      (await one('select max(id) as id from message where subscriber_id = $1', reader.id))['id'] as string,
    ]),
  );
  const placed = await t.http
    .post('/checkout/launch-kit')
    .set('User-Agent', BROWSER)
    .type('form')
    .send({ email, name: `Rita ${CANARY}`, m: messageId })
    .expect(303);
  const pay = (placed.headers['location'] as string).replace(/^https?:\/\/[^/]+/, '');
  if (outcome === 'paid') await t.http.post(pay).type('form').send({ outcome }).expect(303);
  return (
    ((await one('select max(id) as id from orders where funnel_key = $1', 'niche-ebook'))['id'] as string) ??
    ''
  );
};
const one = async (sql: string, value: string): Promise<Record<string, unknown>> =>
  (await t.dataSource.query<Record<string, unknown>[]>(sql, [value]))[0] ?? {};
const suppressed = async (email: string) => t.app.get(SuppressionsService).of(email);
const erase = async ({ id }: Reader): Promise<void> => {
  const link = `/erase/${t.app.get(DataRequestService, { strict: false }).token('erase', id)}`;
  await t.http
    .post(link)
    .type('form')
    .send({ understood: 'yes' })
    .expect(200)
    .expect(/Erased/);
};

describe('forgetting a person', () => {
  const known = async (...emails: string[]): Promise<number> =>
    (await t.dataSource.query<unknown[]>('select 1 from subscriber where email_key = any ($1)', [emails]))
      .length;
  const eraseLinks = async (email: string): Promise<string[]> =>
    (await t.mailsTo(email))
      .filter(({ html }) => html.includes('/erase/'))
      .map((mail) => linkIn(mail, /\/erase\//));

  it('is for who reads their mail, not for whom a mail was forwarded to', async () => {
    const reader = await newReader(t, 'forwarded@example.com');
    const other = await newReader(t, 'other@example.com');
    const asked = await t.http
      .post(`${reader.preferences}/erase`)
      .expect(200)
      .expect(/Nothing is erased yet/);
    const confirm = /name="confirm" value="([^"]+)"/.exec(asked.text)?.[1] ?? '';
    const again = { confirm, understood: 'yes' };
    await t.http.post(`${reader.preferences}/erase`).type('form').send(again).expect(200);
    await t.runDue();
    expect(await known(reader.email)).toBe(1);
    // Two presses, one mail; it goes to the address of the row, and opening it or pressing half the form erases nobody.
    const [link = '', ...more] = await eraseLinks(reader.email);
    expect([more, await eraseLinks(other.email)]).toEqual([[], []]);
    expect((await t.http.get(link).expect(200)).text).toContain('f***@example.com');
    await t.http
      .post(link)
      .expect(200)
      .expect(/I want this/);
    const press = (path: string) => t.http.post(path).type('form').send({ understood: 'yes' });
    for (const path of [
      `${link}x`,
      link.replace('/erase/', '/my-data/').concat('x'),
      `/erase/${reader.preferences.split('/').at(-1)}`,
    ])
      await press(path).expect(404);
    t.clock.advance(30 * 60_000);
    await press(link).expect(410);
    expect(await known(reader.email, other.email)).toBe(2);
    await t.http.post(`${reader.preferences}/erase`).expect(200);
    await t.runDue();
    const fresh = (await eraseLinks(reader.email)).at(-1) ?? '';
    await press(fresh)
      .expect(200)
      .expect(/Erased/);
    // A second press of the button said that the link has expired.
    await press(fresh)
      .expect(410)
      .expect(/Nothing is kept about you any more/);
    expect(await known(reader.email, other.email)).toBe(1);
  });

  it('leaves no trace of them anywhere but the name on a paid invoice', async () => {
    const reader = await newReader(t, `${CANARY}@example.com`, { name: `Rita ${CANARY}` });
    const headers = { 'User-Agent': BROWSER, Referer: `https://${CANARY}.example.org/` };
    await t.http.get(linkIn(reader.welcome, /\/o\//)).set(headers).expect(200);
    await t.http.get(linkIn(reader.welcome, /\/c\//)).set(headers).expect(302);
    const order = await buy(reader, 'paid');
    await t.runDue();
    await t.http.post(`${reader.preferences}/export`).expect(200);
    const unsubscribe = linkIn(reader.welcome, /\/u\//);
    await t.http.post(unsubscribe).expect(200);
    await t.http
      .post(`${unsubscribe}/reason`)
      .type('form')
      .send({ reason: 'other', comment: CANARY })
      .expect(200);
    await t.dataSource.query(
      `update message set reply_text = '550 <' || address || '> unknown' where subscriber_id = $1`,
      [reader.id],
    );
    await t.dataSource.query(
      `insert into bounce (dedupe_key, message_id, verdict, reason, diagnostic, source, trusted, received_at)
       select 'test', max(id), 'hard', 'user unknown', '550 <' || $2::text || '@example.com>', 'smtp', true, now()
       from message where subscriber_id = $1`,
      [reader.id, CANARY],
    );
    await t.dataSource.query(
      `with steps as (
         insert into sequence_signal (subscriber_id, trigger, before, created_at) values ($1, 'null', $2, now())),
       tags as (insert into tag_signal (subscriber_id, name, created_at) values ($1, $2, now()))
       insert into field_signal (subscriber_id, before, created_at) values ($1, $2, now())`,
      [reader.id, JSON.stringify({ plan: CANARY })],
    );
    await t.dataSource.query(
      `insert into visit (visitor_id, page, slug, funnel_key, subscriber_id, class, utm, at)
       values ('\\x00', 'offer', 'launch-kit', 'niche-ebook', $1, 'human', $2, now())`,
      [reader.id, { content: reader.email }],
    );
    await t.http
      .post('/api/v1/affiliates')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ code: 'forgotten', name: `Rita ${CANARY}`, email: reader.email })
      .expect(201);
    await t.dataSource.query('update orders set refund_reason = $2, refunded_at = $3 where id = $1', [
      order,
      `${CANARY} did not like it`,
      t.clock.now(),
    ]);
    const copy = await t.http
      .get(`/api/v1/subscribers/${reader.id}/export`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(copy.body.orders).toMatchObject([
      { refundReason: `${CANARY} did not like it`, refundedAt: t.clock.now().toISOString() },
    ]);
    expect((await traces(CANARY)).length).toBeGreaterThan(8);

    await erase(reader);

    expect(await traces(CANARY)).toEqual(['orders.name']);
    expect(
      await one('select status, email, subscriber_id as s, visitor_id as v from orders where id = $1', order),
    ).toEqual({
      status: 'paid',
      email: 'erased',
      s: null,
      v: null,
    });
    expect(await suppressed(reader.email)).toMatchObject([
      { scope: 'all', reason: 'erased' },
      { scope: 'marketing', reason: 'unsubscribed' },
    ]);
  });

  it('keeps counting what they did', async () => {
    const counts = await one(
      `select (select count(*)::int from tracking_event where user_agent is null and ip_hash is null) as hits,
         (select count(*)::int from message where address = $1 and state = 'accepted') as mails,
         (select count(*)::int from conversion where subscriber_id is null and kind = 'order') as orders`,
      'erased',
    );
    expect(counts).toMatchObject({ hits: 2, orders: 1 });
    expect(counts['mails']).toBeGreaterThanOrEqual(2);
  });

  it('keeps nothing of what is opened or clicked afterwards: links lead on all the same', async () => {
    const reader = await newReader(t, 'clicks-on@example.com');
    const hits = async (): Promise<unknown> =>
      one(`select count(*)::int as n from tracking_event where $1::text is not null`, reader.id);
    await t.app.get(HitRecorder).flush();
    const before = await hits();
    const [open, click] = [linkIn(reader.welcome, /\/o\//), linkIn(reader.welcome, /\/c\//)];
    await erase(reader);
    await t.http.get(open).set('User-Agent', BROWSER).expect(200);
    await t.http.head(click).set('User-Agent', BROWSER).expect(302);
    await t.http.get(click).set('User-Agent', BROWSER).expect(302);
    await t.app.get(HitRecorder).flush();
    expect(await hits()).toEqual(before);
  });

  it('sends nothing that was waiting, and lets nobody write to them again', async () => {
    const reader = await newReader(t, 'waiting@example.com');
    await t.dataSource.query(
      `update message set state = 'ready', data_at = null where subscriber_id = $1 and kind = 'sequence'`,
      [reader.id],
    );
    await erase(reader);
    expect(
      await one(
        `select count(*)::int as n from message where address = 'erased' and dedupe_key like 'seq:%' and state = $1`,
        'cancelled',
      ),
    ).toEqual({ n: 1 });
    await t.http.get(reader.preferences).expect(410);
    await t.http.post(linkIn(reader.welcome, /\/u\//)).expect(200);
    await t.http.post('/p/niches').type('form').send({ email: reader.email }).expect(200);
    await t.runDue();
    expect(await t.mailsTo(reader.email)).toEqual([]);
  });

  it('takes the money of an order that was open, and enters nobody for it', async () => {
    const reader = await newReader(t, 'late-payer@example.com');
    const order = await buy(reader, 'none');
    await erase(reader);
    expect(await one('select status, name from orders where id = $1', order)).toEqual({
      status: 'declined',
      name: null,
    });
    const paid = await t.app.get(OrdersService).markPaid(order, 'test', 'late');
    expect(paid).toMatchObject({ status: 'paid', subscriberId: null, email: 'erased' });
    expect(await one('select count(*)::int as n from subscriber where email_key = $1', 'erased')).toEqual({
      n: 0,
    });
  });

  it('neither shows nor forgets the order of somebody to whom they passed a mail on: it ended unpaid, without a buyer', async () => {
    const reader = await newReader(t, 'passing-on@example.com');
    const order = await buy(reader, 'none', 'friend@example.com');
    const copy = await t.http
      .get(`/api/v1/subscribers/${reader.id}/export`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(copy.body.orders).toEqual([]);
    await erase(reader);
    expect(
      await one('select status, email, subscriber_id as s, message_id as m from orders where id = $1', order),
    ).toEqual({ status: 'pending', email: 'friend@example.com', s: null, m: null });
    const paid = await t.app.get(OrdersService).markPaid(order, 'test', 'friend');
    expect(paid).toMatchObject({
      status: 'paid',
      subscriberId: expect.any(String),
      email: 'friend@example.com',
    });
  });

  it('waits for a payment of the person that runs, without a deadlock', async () => {
    const reader = await newReader(t, 'paying@example.com');
    const order = await buy(reader, 'none');
    const payment = await gate(t.dataSource, 'select 1 from orders where id = $1 for update', [order]);
    const erasing = erase(reader);
    await untilWaiting(t.dataSource, 1, erasing);
    // As the payment asks for the buyer next.
    await payment.query('select 1 from subscriber where id = $1 for no key update nowait', [reader.id]);
    await payment.open();
    await erasing;
    expect(await one('select email from orders where id = $1', order)).toEqual({ email: 'erased' });
  });

  it('takes along what was written about them while it ran: a visit kept its referrer', async () => {
    const reader = await newReader(t, 'visiting@example.com');
    const visit = await gate(
      t.dataSource,
      `insert into visit (visitor_id, page, slug, funnel_key, subscriber_id, class, referrer, at)
       values ('\\x00', 'offer', 'launch-kit', 'niche-ebook', $1, 'human', 'https://visiting.example.org/', now())`,
      [reader.id],
    );
    const erasing = t.http
      .delete(`/api/v1/subscribers/${reader.id}`)
      .set('Authorization', `Bearer ${API_KEY}`);
    const erased = erasing.then(({ status }) => status);
    await untilWaiting(t.dataSource, 1, erased);
    await visit.open();
    expect(await erased).toBe(204);
    expect(
      await one('select count(*)::int as n from visit where referrer = $1', 'https://visiting.example.org/'),
    ).toEqual({ n: 0 });
  });

  it('takes them out of the rows that are shown of a table nobody has taken: they stood there for a day', async () => {
    const reader = await newReader(t, 'shown@example.com');
    const other = ['not-shown@example.com', 'Bob'];
    const table = (samples: string[][]) => ({ name: 'people.csv', headers: ['email', 'name'], samples });
    const preview = { tables: [table([['Shown@example.com', 'Ann'], other]), table([])], problem: 'why' };
    const { id } = await one(
      `insert into import_job (file_name, state, dry_run, options, preview, created_at)
       values ('people.csv', 'mapping', false, '{}', $1::jsonb, now()) returning id`,
      JSON.stringify(preview),
    );
    await erase(reader);
    expect(await one('select preview from import_job where id = $1', String(id))).toEqual({
      preview: { tables: [table([other]), table([])], problem: 'why' },
    });
  });

  it('is done by the API too, which also hands out the copy', async () => {
    const reader = await newReader(t, 'by-api@example.com');
    const api = (method: 'get' | 'delete', path: string) =>
      t.http[method](`/api/v1/subscribers/${path}`).set('Authorization', `Bearer ${API_KEY}`);
    const { body } = await api('get', `${reader.id}/export`).expect(200);
    expect(body).toMatchObject({
      profile: { email: reader.email },
      consentReceipt: { publicKey: { crv: 'Ed25519' } },
    });
    await api('delete', reader.id).expect(204);
    await api('delete', reader.id).expect(404);
    await api('get', `${reader.id}/export`).expect(404);
    expect(await suppressed(reader.email)).toMatchObject([{ reason: 'erased', source: 'api' }]);
  });
});
