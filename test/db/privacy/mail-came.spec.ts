import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { newReader, preferencesForm, type Reader } from '../../support/reader.js';

const MINUTE_MS = 60_000;

describe('a mail whose end was unclear', () => {
  let t: TestApp;
  let count = 0;
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  const address = (): string => `unclear${++count}@example.com`;
  const lastOf = async (email: string): Promise<TestMail> => (await t.mailsTo(email)).at(-1) as TestMail;
  /** It was taken, and the relay's answer was lost: a mail that somebody waits for goes once more in a minute. */
  const loseReply = async (email: string): Promise<void> => {
    await t.dataSource.query(
      `update message set state = case when class = 'transactional' then 'ready' else 'unknown' end, unknown_count = 1,
         accepted_at = null, settled_at = null, due_at = $2,
         data_at = case when class = 'transactional' then null else data_at end
       where id = (select max(id) from message where address = $1)`,
      [email, new Date(t.clock.now().getTime() + MINUTE_MS)],
    );
  };
  const states = async (email: string): Promise<string[]> => {
    const rows: { row: string }[] = await t.dataSource.query(
      `select kind || ' ' || state || coalesce(' (' || state_reason || ')', '') as row from message where address = $1 order by id`,
      [email],
    );
    return rows.map(({ row }) => row);
  };
  const reader = async ({ tracking = true } = {}): Promise<Reader> => {
    const one = await newReader(t, address());
    await t.http
      .post(one.preferences)
      .type('form')
      .send(preferencesForm({ topics: ['niche-ebook'], tracking }))
      .expect(200);
    return one;
  };

  it('and that asks for a confirmation is not sent once more to whoever has pressed its button', async () => {
    const email = address();
    await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    await t.runDue();
    const link = linkIn(await lastOf(email), /\/confirm\//);
    await loseReply(email);
    await t.http.post(link).expect(200);
    t.clock.advance(2 * MINUTE_MS);
    await t.runDue();
    const mails = await t.mailsTo(email);
    expect(mails.filter(({ html }) => html.includes('/confirm/'))).toHaveLength(1);
    expect(await states(email)).toContain('confirmation accepted (proved by a link in it)');
  });

  it('is not said to have come by a button that another mail has, too', async () => {
    const email = address();
    for (const day of [1, 2]) {
      await t.http.post('/p/niches').type('form').send({ email }).expect(200);
      await t.runDue();
      if (day === 1) t.clock.advance(25 * 60 * MINUTE_MS);
    }
    const link = linkIn(await lastOf(email), /\/confirm\//);
    await loseReply(email);
    await t.http.post(link).expect(200);
    const [first, second] = await states(email);
    expect([first, second]).toEqual(['confirmation accepted', 'confirmation unknown (confirmed already)']);
  });

  it.each(['preferences', 'u'])(
    'is known to have come by its link to /%s, also from whoever declined tracking',
    async (page) => {
      const { email, welcome } = await reader({ tracking: false });
      await loseReply(email);
      await t.http.get(linkIn(welcome, new RegExp(`/${page}/`))).expect(200);
      expect((await states(email)).at(-1)).toBe('sequence accepted (proved by a link in it)');
      const kept: unknown[] = await t.dataSource.query(
        `select 1 from tracking_event e join message m on m.id = e.message_id where m.address = $1`,
        [email],
      );
      expect(kept).toEqual([]);
    },
  );

  it('and welcomes is known to have come by the link to what it hands over, from whoever declined tracking', async () => {
    const { email } = await reader({ tracking: false });
    // As it would have been made for who declined before it.
    await t.dataSource.query(
      `update message set state = 'ready', accepted_at = null, settled_at = null, data_at = null
       where id = (select max(id) from message where address = $1)`,
      [email],
    );
    await t.runDue();
    const welcome = await lastOf(email);
    await loseReply(email);
    await t.http.get(linkIn(welcome, /\/download\//)).expect(200);
    expect((await states(email)).at(-1)).toBe('sequence accepted (proved by a link in it)');
  });

  it.each([
    ['export', /\/my-data\//],
    ['erase', /\/erase\//],
  ])('is known to have come by the link that it was asked for (%s)', async (asked, pattern) => {
    const { email, preferences } = await reader();
    await t.http.post(`${preferences}/${asked}`).expect(200);
    await t.runDue();
    await loseReply(email);
    await t.http.get(linkIn(await lastOf(email), pattern)).expect(200);
    expect((await states(email)).at(-1)).toBe('notice accepted (proved by a link in it)');
  });

  it.each([
    ['link to the order', /\/order\//],
    ['link to a file that was bought', /\/download\//],
  ])(
    'and is a receipt is known to have come by its %s, not by the page after the payment',
    async (_, link) => {
      const email = address();
      const pay = await t.http
        .post('/checkout/launch-kit')
        .type('form')
        .send({ email, name: 'Bo' })
        .expect(303);
      const paid = await t.http
        .post(pay.headers['location'] ?? '')
        .type('form')
        .send({ outcome: 'paid' })
        .expect(303);
      await t.runDue();
      const receipt = await lastOf(email);
      await loseReply(email);
      const state = async (): Promise<string | undefined> =>
        (await states(email)).find((row) => row.startsWith('receipt'));
      const page = await t.http.get(paid.headers['location'] ?? '').expect(200);
      const onPage = /href="([^"]*\/download\/[^"]*)"/.exec(page.text)?.[1] ?? '';
      await t.http.get(onPage.replace(/^https?:\/\/[^/]+/, '')).expect(200);
      expect(await state()).toBe('receipt ready');
      await t.http.get(linkIn(receipt, link)).expect(200);
      expect(await state()).toBe('receipt accepted (proved by a link in it)');
    },
  );
});
