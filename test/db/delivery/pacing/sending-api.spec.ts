import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { PUT_OFF } from '../../../../src/delivery/pacing/sending.queries.js';
import { REPLY_REASONS } from '../../../../src/delivery/replies/reply-reason.js';
import { API_KEY, openShop, type Shop } from '../../orders/shop.js';
import { insertMessage, OPENED_AT } from './pacing-app.js';
import { empty } from '../../../support/database.js';

const FULL = {
  global: { perSecond: 50, burst: 100, perDay: 100_000 },
  senders: { 'news.example.com': { perSecond: 5, warmUp: { startedOn: '2026-03-01' } } },
  groups: { gmail: { perSecond: 10 }, yahoo: { perDay: 500 } },
  overdue: { policy: 'skip', afterHours: 12 },
};
const NOTHING = { global: null, senders: {}, groups: {}, overdue: { policy: 'ask', afterHours: 24 } };

describe('/api/v1/sending', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
  });
  afterAll(async () => shop.close());
  beforeEach(async () => {
    await empty(shop.db, 'message, send_bucket, message_attempt');
    await shop.db.query(`delete from setting where key like 'sending.%'`);
    shop.app.get(PacingService, { strict: false }).forgetCache();
  });

  const call = (method: 'get' | 'put' | 'post', path = '') =>
    shop.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const put = (body: unknown) => call('put', 'sending').send(body as object);

  it('has no limit until one is set, and holds late mail', async () => {
    expect((await call('get', 'sending').expect(200)).body).toEqual(NOTHING);
  });

  it('reads back what was put, the same however often it is put', async () => {
    for (let times = 0; times < 2; times++) expect((await put(FULL).expect(200)).body).toEqual(FULL);
    expect((await call('get', 'sending').expect(200)).body).toEqual(FULL);
    expect((await put({}).expect(200)).body).toEqual(NOTHING);
    expect(await shop.db.query('select key from send_bucket')).toEqual([]);
  });

  it.each([
    ['an unknown field', { globl: {} }, 'globl'],
    ['an unknown option of a limit', { global: { perMinute: 5 } }, 'global.perMinute'],
    ['no mail at all', { global: { perSecond: 0 } }, 'global.perSecond'],
    ['a pace as text', { global: { perSecond: '5' } }, 'global.perSecond'],
    ['half a mail a day', { global: { perDay: 0.5 } }, 'global.perDay'],
    ['a burst without a pace', { global: { burst: 5 } }, 'global.burst'],
    ['an unknown group', { groups: { aol: {} } }, 'groups.aol'],
    ['an address for a domain', { senders: { 'ada@example.com': { perDay: 1 } } }, 'senders.ada@example.com'],
    ['a domain in capitals', { senders: { 'Example.com': { perDay: 1 } } }, 'senders.Example.com'],
    ['a warm-up for everybody', { global: { warmUp: { startedOn: '2026-03-01' } } }, 'global.warmUp'],
    [
      'a day that is none',
      { senders: { 'example.com': { warmUp: { startedOn: '2026-02-30' } } } },
      'senders.example.com.warmUp.startedOn',
    ],
    ['an unknown policy', { overdue: { policy: 'wait' } }, 'overdue.policy'],
    ['hours out of range', { overdue: { policy: 'ask', afterHours: 0 } }, 'overdue.afterHours'],
  ])('refuses %s and names it', async (_, body, field) => {
    const answer = await put(body).expect(422);
    expect((answer.body.errors as { field: string }[]).map((error) => error.field)).toContain(field);
    expect(await shop.db.query('select key from send_bucket')).toEqual([]);
  });

  it('estimates when all will have gone out', async () => {
    const broadcasts: { id: string }[] = await shop.db.query(
      `insert into broadcast (title, email_template_id, sender, created_at)
       select 'b', (select min(id) from email_template), '{}', now() returning id`,
    );
    const broadcastId = broadcasts[0]?.id ?? '';
    for (let count = 0; count < 4; count++)
      await insertMessage(shop.db, count < 3 ? { broadcast_id: broadcastId } : {});
    await insertMessage(shop.db, { due_at: new Date(OPENED_AT.getTime() + 3_600_000) });
    expect((await call('get', 'sending/estimate').expect(200)).body).toEqual({
      broadcastId: null,
      remaining: 4,
      waitsForTest: 0,
      completesAt: null,
      perSecond: null,
      limitedBy: 'relay',
    });
    await put({ groups: { other: { perSecond: 0.5, burst: 1 } } }).expect(200);
    await shop.db.query('update send_bucket set tokens = 0');
    const { body } = await call('get', `sending/estimate?broadcastId=${broadcastId}`).expect(200);
    expect(body).toMatchObject({ broadcastId, remaining: 3, limitedBy: 'group:other' });
    const seconds = (Date.parse(body.completesAt as string) - OPENED_AT.getTime()) / 1_000;
    // The database's clock runs a little ahead or behind: a day that ends told as 23:59 is told a day early.
    expect(Number.isInteger(seconds)).toBe(true);
    expect(seconds).toBeGreaterThan(4);
    expect(seconds).toBeLessThanOrEqual(8);
    await call('get', 'sending/estimate?broadcastId=x').expect(422);
  });

  it('measures what the relays take by the attempts of the last minute', async () => {
    const id = await insertMessage(shop.db);
    await shop.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select $1, n, now(), clock_timestamp() - n * interval '1 ms', 'done', 'accepted' from generate_series(1, 50) n`,
      [id],
    );
    const { body } = await call('get', 'sending/estimate').expect(200);
    expect(body).toMatchObject({ remaining: 1, limitedBy: 'relay' });
    expect(body.completesAt).not.toBeNull();
  });

  it('counts with a new limit what went before it today: a provider had the day of a quota once more', async () => {
    const [id] = [
      await insertMessage(shop.db),
      await insertMessage(shop.db, { lane_key: 'example.com|gmail' }),
    ];
    const tried = `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
      select id, n, now(), $2::timestamptz, 'done', $3 from message, generate_series($4::int, $5::int) n where $1::bigint is null or id = $1`;
    const now = new Date();
    const yesterday = new Date(new Date(now).setUTCHours(0, 0, 0, -1));
    await shop.db.query(tried, [null, now, 'accepted', 1, 3]);
    await shop.db.query(tried, [id, now, 'unknown', 4, 4]);
    await shop.db.query(tried, [null, now, 'ready', 5, 6]);
    await shop.db.query(tried, [null, yesterday, 'accepted', 7, 8]);
    const used = async (): Promise<Record<string, number>> => {
      const { body } = await call('get', 'sending/state').expect(200);
      return Object.fromEntries(
        (body.buckets as { key: string; usedToday: number }[]).map(({ key, usedToday }) => [key, usedToday]),
      );
    };
    await put({ groups: { gmail: { perDay: 10 } } }).expect(200);
    expect(await used()).toEqual({ 'group:gmail': 3 });
    await put({ global: { perDay: 5 }, groups: { gmail: { perDay: 20 } } }).expect(200);
    expect(await used()).toEqual({ global: 7, 'group:gmail': 3 });
    expect((await call('get', 'sending/state')).body.buckets[0]).toMatchObject({ availableNow: 0 });
  });

  it('shows how sending stands', async () => {
    await put({ global: { perSecond: 2, burst: 8, perDay: 100 } }).expect(200);
    await insertMessage(shop.db, { state: 'held', state_reason: 'overdue after an outage' });
    await insertMessage(shop.db, { state: 'unknown' });
    expect((await call('get', 'sending/state').expect(200)).body).toEqual({
      maySend: true,
      takesWrites: true,
      reason: null,
      pausedSequences: [],
      pausedBroadcasts: [],
      silentKeepers: [],
      buckets: [
        {
          key: 'global',
          perSecond: 2,
          slowFactor: 1,
          availableNow: 8,
          usedToday: 0,
          quotaToday: 100,
          reservedToday: 20,
          warmUpStartedOn: null,
        },
      ],
      relays: [
        {
          name: '127.0.0.1',
          host: '127.0.0.1:1',
          weight: 1,
          lanes: null,
          state: 'untried',
          retryAt: null,
          reason: null,
        },
      ],
      putOff: [],
      held: [{ reason: 'overdue after an outage', broadcastId: null, count: 1 }],
      unknown: 1,
      unknownOfSequences: [],
    });
  });

  it('reads no mail that is planned for later to say what was put off: each look read a whole broadcast', async () => {
    await insertMessage(shop.db, { due_at: new Date(OPENED_AT.getTime() + 3_600_000) });
    await shop.db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at, created_at, lane_key)
       select 'planned:' || n, class, kind, email_template_id, sender, address, address_hash, '<' || n || '@example.com>',
         due_at + n * interval '1 second', created_at, lane_key from message, generate_series(1, 3000) n`,
    );
    await insertMessage(shop.db, {
      due_at: new Date(OPENED_AT.getTime() + 60_000),
      ...{ reply_code: 451, state_reason: 'greylisted' },
    });
    await shop.db.query('analyze message');
    const lines: Record<string, string>[] = await shop.db.query(`explain (analyze) ${PUT_OFF}`, [
      OPENED_AT,
      REPLY_REASONS,
    ]);
    const plan = lines.map((line) => line['QUERY PLAN']).join('\n');
    expect(plan).toContain('message_put_off');
    expect(plan).not.toContain('Rows Removed');
    const { body } = await call('get', 'sending/state').expect(200);
    expect(body.putOff).toMatchObject([{ reason: 'greylisted', count: 1 }]);
  });

  it('releases and cancels held messages by reason', async () => {
    for (const reason of ['a', 'a', 'b'])
      await insertMessage(shop.db, { state: 'held', state_reason: reason });
    expect((await call('post', 'messages/held/release').send({ reason: 'a' }).expect(200)).body).toEqual({
      released: 2,
    });
    expect((await call('post', 'messages/held/cancel').send({}).expect(200)).body).toEqual({ cancelled: 1 });
    await call('post', 'messages/held/cancel').send({ because: 'a' }).expect(422);
    expect(
      await shop.db.query('select state, count(*)::int as n from message group by 1 order by 1'),
    ).toEqual([
      { state: 'cancelled', n: 1 },
      { state: 'ready', n: 2 },
    ]);
  });

  it('confirms a restored backup', async () => {
    await insertMessage(shop.db);
    expect((await call('post', 'sending/confirm').send({}).expect(200)).body).toMatchObject({
      needed: false,
    });
    await shop.db.query(
      `insert into setting (key, value, updated_at) values ('ledger.generation', $1, now())`,
      [
        JSON.stringify({
          lineage: 'a',
          generation: 1,
          counter: 1,
          fingerprint: { system: null, timeline: null, database: '1', table: '1' },
          refused: null,
          confirmed: null,
        }),
      ],
    );
    expect((await call('get', 'sending/state')).body).toMatchObject({ maySend: false });
    await call('post', 'sending/confirm').send({ unsent: 'all' }).expect(422);
    expect((await call('post', 'sending/confirm').send({}).expect(200)).body).toEqual({
      needed: true,
      held: 1,
      cancelled: 0,
      unknown: 0,
    });
    expect((await call('get', 'sending/state')).body).toMatchObject({ maySend: true });
  });

  it('is for those with a key', async () => {
    expect((await shop.http.get('/api/v1/sending')).status).toBe(401);
    expect((await shop.http.post('/api/v1/sending/confirm')).status).toBe(401);
  });
});
