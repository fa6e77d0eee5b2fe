import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';

/** Half of them of one broadcast, and then as many of another: what is asked for lies behind all that is newer. */
const ROWS = 20_000;

let t: TestApp;
let few: string;
let many: string;
beforeAll(async () => {
  t = await startTestApp();
  [few, many] = [await somebody('few@example.com'), await somebody('many@example.com')];
  await t.dataSource.query(
    `insert into message (dedupe_key, class, kind, broadcast_id, funnel_key, step_key, email_template_id, sender, address,
       address_hash, message_id_header, due_at, created_at, state)
     select 'made-up:' || n, 'marketing', case when n % 10 = 0 then 'sequence' else 'broadcast' end,
       case when n % 10 > 0 then 1 + (n > $1::int / 2)::int end, case when n % 10 = 0 then 'course' end,
       case when n % 20 = 0 then 'first' when n % 10 = 0 then 'second' end, (select min(id) from email_template), '{}',
       n || '@example.com', sha256(n::text::bytea), '<' || n || '@example.com>', now(), now(), 'accepted'
     from generate_series(1, $1::int) n`,
    [ROWS],
  );
  await t.dataSource.query(
    `insert into orders (number, funnel_key, offer_id, subscriber_id, email, status, amount_minor, currency, provider, created_at)
     select 'T-' || n, 'niche-ebook', (select min(id) from offer), case when n < 4 then $2::bigint else $3::bigint end,
       n || '@example.com', 'pending', 100, 'EUR', 'none', now()
     from generate_series(1, $1::int) n`,
    [ROWS, few, many],
  );
  await t.dataSource.query('analyze message');
  await t.dataSource.query('analyze orders');
});
afterAll(async () => t.close());

const get = (path: string) => t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
async function somebody(email: string): Promise<string> {
  const made = t.http.post('/api/v1/subscribers').set('Authorization', `Bearer ${API_KEY}`).send({ email });
  return String((await made.expect(201)).body.id);
}
interface Row extends Record<string, unknown> {
  id: string;
}
const page = async (path: string): Promise<{ data: Row[]; nextCursor: string | null }> =>
  (await get(path).expect(200)).body;
const idsOf = async (table: string, condition: string): Promise<string[]> =>
  (
    await t.dataSource.query<Row[]>(`select id from ${table} where ${condition} order by id desc limit 60`)
  ).map(({ id }) => id);

/** How the database finds what was asked for. */
async function planOf(path: string): Promise<string> {
  const asked = vi.spyOn(t.dataSource, 'query');
  await page(path);
  const [sql = '', values] = asked.mock.calls.find(([text]) => /order by [mo]\.\w+ desc/.test(text)) ?? [];
  asked.mockRestore();
  const rows = await t.dataSource.query<Record<string, string>[]>(`explain ${sql}`, values as unknown[]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

describe.each([
  ['messages', 'broadcastId=1', 'broadcast_id = 1', 'message_broadcast', { broadcastId: '1' }],
  ['messages', 'broadcastId=2', 'broadcast_id = 2', 'message_broadcast', { broadcastId: '2' }],
  [
    ...['messages', 'funnel=course&step=first'],
    ...[`funnel_key = 'course' and step_key = 'first'`, 'message_funnel'],
    { funnelKey: 'course', stepKey: 'first', broadcastId: null },
  ],
] as [string, string, string, string, object][])('%s by %s', (list, filter, condition, index, row) => {
  it('are listed page by page, read from the index in its order', async () => {
    const first = await page(`${list}?${filter}&limit=50`);
    const second = await page(`${list}?${filter}&limit=10&cursor=${first.nextCursor}`);
    const shown = [...first.data, ...second.data];
    expect(shown.map(({ id }) => id)).toEqual(await idsOf('message', condition));
    for (const one of shown) expect(one).toMatchObject(row);
    for (const path of [`${list}?${filter}`, `${list}?${filter}&cursor=${first.nextCursor}`]) {
      const plan = await planOf(path);
      expect(plan).toContain(`Index Scan Backward using ${index} on message m`);
      expect(plan).not.toMatch(/Sort|Seq Scan on message/);
    }
  });
});

describe('messages by state', () => {
  beforeAll(async () => {
    const set = async (state: string, which: string): Promise<unknown> =>
      t.dataSource.query(`update message set state = $1 where ${which}`, [state]);
    await set('held', 'id % 400 = 0');
    await set('unknown', 'id % 400 = 1');
    await set('rejected', 'id % 400 = 2');
    await set('leased', 'id % 4000 = 3');
    await t.dataSource.query(`update message set data_at = now() where id % 8000 = 3`);
    await t.dataSource.query('analyze message');
  });

  it.each([
    ['held', `state = 'held'`, 'message_unsent'],
    ['rejected', `state = 'rejected'`, 'message_unsent'],
    ['unknown', `state = 'unknown'`, 'message_unknown'],
    ['leased', `state = 'leased' and data_at is null`, 'message_lease'],
    ['in_data', `state = 'leased' and data_at is not null`, 'message_lease'],
    ['accepted', `state = 'accepted'`, 'PK|message_pkey'],
  ])('lists those that are %s: they could not be asked for', async (state, condition, index) => {
    const first = await page(`messages?state=${state}&limit=20`);
    const second = await page(
      `messages?state=${state}&limit=40${first.nextCursor === null ? '' : `&cursor=${first.nextCursor}`}`,
    );
    const shown = [...first.data, ...(first.nextCursor === null ? [] : second.data)];
    expect(shown.map(({ id }) => id)).toEqual(await idsOf('message', condition));
    expect(new Set(shown.map((row) => row['state']))).toEqual(new Set([state]));
    const plan = await planOf(`messages?state=${state}`);
    expect(plan).toMatch(new RegExp(index));
    expect(plan).not.toMatch(/Seq Scan on message/);
  });

  it('and of a broadcast, a step or a reader', async () => {
    for (const [filter, condition] of [
      ['broadcastId=2', 'broadcast_id = 2'],
      ['funnel=course&step=first', `funnel_key = 'course' and step_key = 'first'`],
      ['subscriberId=999', 'subscriber_id = 999'],
    ]) {
      const { data } = await page(`messages?${filter}&state=held&limit=60`);
      expect(data.map(({ id }) => id)).toEqual(await idsOf('message', `${condition} and state = 'held'`));
    }
  });
});

describe('orders by subscriber', () => {
  it('are listed page by page, read from the index in its order', async () => {
    const first = await page(`orders?subscriberId=${few}&limit=2`);
    const second = await page(`orders?subscriberId=${few}&limit=2&cursor=${first.nextCursor}`);
    expect([...first.data, ...second.data].map(({ number }) => number)).toEqual(['T-3', 'T-2', 'T-1']);
    expect(second.nextCursor).toBeNull();
    expect((await page(`orders?subscriberId=${many}&limit=1`)).data).toMatchObject([{ number: `T-${ROWS}` }]);
    for (const path of [few, many].map((id) => `orders?subscriberId=${id}`)) {
      const plan = await planOf(path);
      expect(plan).toMatch(/Index Scan (Backward )?using orders_subscriber on orders o/);
      expect(plan).not.toMatch(/Seq Scan on orders/);
    }
  });
});

describe('a filter', () => {
  it('that names nothing that is there finds nothing, and one that cannot is refused at its field', async () => {
    for (const path of ['messages?broadcastId=999', 'messages?funnel=a&step=b', 'orders?subscriberId=999'])
      expect(await page(path)).toEqual({ data: [], nextCursor: null });
    for (const [path, field] of [
      ['messages?broadcastId=first', 'broadcastId'],
      ['messages?funnel=course', 'step'],
      ['messages?step=first', 'step'],
      ['messages?state=lost', 'state'],
      // No mail is of both: all of the broadcast were read to find none.
      ['messages?broadcastId=1&funnel=course&step=first', 'broadcastId'],
      ['orders?subscriberId=-1', 'subscriberId'],
      ['orders?broadcastId=1', 'broadcastId'],
    ]) {
      const { body } = await get(path ?? '').expect(422);
      expect(body).toMatchObject({ code: 'REQUEST_INVALID', errors: [{ field }] });
    }
  });
});
