import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

interface Page {
  data: Record<string, unknown>[];
  nextCursor: string | null;
}

describe('GET /api/v1/bounces', () => {
  let t: TestApp;

  beforeAll(async () => {
    t = await startTestApp();
    await t.dataSource.query(
      `insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at, status_code, diagnostic)
       select 'list:' || n, (array['hard', 'soft', 'sender', 'complaint', 'ignore'])[1 + n % 5], 'user_unknown', 'smtp', n % 2 = 0,
         $1::timestamptz + n * interval '1 minute', '5.1.1', '550 5.1.1 <…>: no such user'
       from generate_series(1, 25) n`,
      [t.clock.now()],
    );
  });
  afterAll(async () => t.close());

  const get = async (query: string): Promise<Page> =>
    (await t.http.get(`/api/v1/bounces${query}`).auth(API_KEY, { type: 'bearer' }).expect(200)).body as Page;

  it('pages by cursor, newest first, each once', async () => {
    const seen: unknown[] = [];
    let cursor: string | null = '';
    for (let pages = 0; cursor !== null; pages++) {
      expect(pages).toBeLessThan(4);
      const page: Page = await get(`?limit=10${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.data.map(({ receivedAt }) => receivedAt));
      cursor = page.nextCursor;
    }
    expect(seen).toHaveLength(25);
    expect(new Set(seen).size).toBe(25);
    for (const [at, one] of seen.entries()) expect(at === 0 || String(one) < String(seen[at - 1])).toBe(true);
  });

  it.each([
    ['?verdict=hard&limit=50', 5],
    ['?trusted=false&limit=50', 13],
    ['?trusted=true&verdict=soft&limit=50', 2],
    ['?messageId=1', 0],
    ['?broadcastId=1', 0],
    ['?subscriberId=1', 0],
  ])('%s finds %i', async (query, count) => {
    expect((await get(query)).data).toHaveLength(count);
  });

  it('shows one by its id, and says of another that there is none', async () => {
    const [first] = (await get('?limit=1')).data;
    const one = await t.http
      .get(`/api/v1/bounces/${String(first?.['id'])}`)
      .auth(API_KEY, { type: 'bearer' });
    expect(one.body).toEqual(first);
    expect(one.body).toMatchObject({ statusCode: '5.1.1', diagnostic: '550 5.1.1 <…>: no such user' });
    const none = await t.http.get('/api/v1/bounces/987654321').auth(API_KEY, { type: 'bearer' });
    expect([none.status, (none.body as { code: string }).code]).toEqual([404, 'BOUNCE_NOT_FOUND']);
  });

  it.each(['?verdict=deadly', '?trusted=maybe', '?messageId=x', '?limit=0', '?cursor=x'])(
    'refuses %s',
    async (query) => {
      const answer = await t.http.get(`/api/v1/bounces${query}`).auth(API_KEY, { type: 'bearer' });
      expect(answer.status).toBe(422);
    },
  );

  it('is for holders of a key', async () => {
    expect((await t.http.get('/api/v1/bounces')).status).toBe(401);
  });
});
