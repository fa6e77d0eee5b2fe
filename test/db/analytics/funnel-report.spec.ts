import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSourceOptions } from '../../../config/data-source.js';
import { AnalyticsService } from '../../../src/analytics/analytics.service.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const DAY_1 = '2026-03-02T09:00:00Z';
const DAY_2 = '2026-03-03T09:00:00Z';

describe('the report of a funnel', () => {
  let database: TestDatabase;
  let db: DataSource;
  let analytics: AnalyticsService;

  beforeAll(async () => {
    database = await createTestDatabase();
    db = await new DataSource(dataSourceOptions(database.url, 4)).initialize();
    analytics = new AnalyticsService(db);
    await db.query(`
      insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
        select key, 'Funnel ' || key, '{}', '', 1, '${DAY_1}', '${DAY_1}' from unnest(array['sold', 'other']) key;
      insert into subscriber (email, email_key, status, created_at, updated_at)
        select 's' || n || '@example.com', 's' || n || '@example.com', 'active', '${DAY_1}', '${DAY_1}' from generate_series(1, 3) n;
      insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
        select key, '', '', 'Hello', '', '', '${DAY_1}' from unnest(array['emails/welcome', 'emails/story']) key;
      insert into sequence (key, funnel_key, title, sender, created_at, updated_at) values ('sold', 'sold', 'Sold', '{}', '${DAY_1}', '${DAY_1}');
      insert into sequence_version (sequence_id, version, definition, definition_hash, created_at) values (1, 1, '{"nodes": [
          {"key": "story", "kind": "email", "templateKey": "emails/story"},
          {"key": "pick", "kind": "branch"},
          {"key": "welcome", "kind": "email", "templateKey": "emails/welcome"}]}', '', '${DAY_1}');
      update sequence set current_version_id = 1;
      insert into product (key, funnel_key, name, amount_minor, currency, created_at, updated_at) values ('kit', 'sold', 'Kit', 1000, 'USD', '${DAY_1}', '${DAY_1}');
      insert into offer (slug, funnel_key, product_id, content, sender, created_at, updated_at) values ('kit', 'sold', 1, '{}', '{}', '${DAY_1}', '${DAY_1}');`);
  });

  afterAll(async () => {
    if (db?.isInitialized) await db.destroy();
    await database?.drop();
  });

  async function visit(row: {
    page: string;
    visitor: number;
    subscriber?: number;
    class?: string;
    at?: string;
  }): Promise<void> {
    await db.query(
      `insert into visit (visitor_id, page, slug, funnel_key, subscriber_id, class, at) values ($1, $2, 'x', 'sold', $3, $4, $5)`,
      [
        Buffer.alloc(16, row.visitor),
        row.page,
        row.subscriber ?? null,
        row.class ?? 'human',
        row.at ?? DAY_1,
      ],
    );
  }

  async function message(row: {
    key: string;
    step: string;
    state: string;
    at?: string;
    hits?: string[];
  }): Promise<void> {
    const [{ id }] = (await db.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, step_key, email_template_id, sender, address, address_hash,
         message_id_header, state, due_at, accepted_at, created_at)
       values ($1, 'marketing', 'sequence', 1, 'sold', $2, (select id from email_template where key = 'emails/' || $2), '{}', '', '', $1, $3, $4,
         case when $3 = 'accepted' then $4::timestamptz end, $4) returning id`,
      [row.key, row.step, row.state, row.at ?? DAY_1],
    )) as [{ id: string }];
    for (const hit of row.hits ?? []) {
      const [kind, kindClass] = hit.split(' ');
      await db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at) values ($1, $2, $3, '', 1, $4)`,
        [kind, id, kindClass, DAY_2],
      );
    }
  }

  async function order(row: {
    id: number;
    status: string;
    amountMinor: number;
    currency?: string;
    at?: string;
  }): Promise<void> {
    await db.query(
      `insert into orders (number, funnel_key, offer_id, email, status, amount_minor, currency, provider, provider_ref, created_at, paid_at)
       values ($1, 'sold', 1, 's1@example.com', $2, $3, $4, 'test', $1, $5, case when $2 in ('paid', 'refunded') then $5::timestamptz end)`,
      [`WS-${row.id}`, row.status, row.amountMinor, row.currency ?? 'USD', row.at ?? DAY_1],
    );
  }

  it('is empty, with rates unknown, before anything happened', async () => {
    const report = await analytics.funnel('other');
    expect(report).toMatchObject({
      visitors: 0,
      orders: 0,
      revenue: { amountMinor: 0, currency: 'EUR' },
      revenues: [],
      steps: [],
    });
    expect(Object.values(report.rates)).toEqual([null, null, null, null, null]);
  });

  it('counts each visitor once and no scanner', async () => {
    await visit({ page: 'squeeze', visitor: 1 });
    await visit({ page: 'squeeze', visitor: 1 });
    await visit({ page: 'squeeze', visitor: 2, class: 'unknown', at: DAY_2 });
    await visit({ page: 'squeeze', visitor: 3, class: 'scanner' });
    await visit({ page: 'checkout', visitor: 4 });
    expect(await analytics.funnel('sold')).toMatchObject({ visitors: 2, offerViews: 0 });
  });

  it('counts a viewer of the offer by who they are, else by their browser', async () => {
    await visit({ page: 'offer', visitor: 1, subscriber: 1 });
    await visit({ page: 'offer', visitor: 9, subscriber: 1, at: DAY_2 });
    await visit({ page: 'offer', visitor: 2 });
    await visit({ page: 'offer', visitor: 2 });
    await visit({ page: 'offer', visitor: 5, class: 'scanner' });
    expect((await analytics.funnel('sold')).offerViews).toBe(2);
  });

  it('counts what became of the mails of each step, in the order of the sequence', async () => {
    await message({
      key: 'w1',
      step: 'welcome',
      state: 'accepted',
      hits: ['open human', 'open human', 'click human'],
    });
    await message({ key: 'w2', step: 'welcome', state: 'accepted', hits: ['open proxy', 'click scanner'] });
    await message({ key: 'w3', step: 'welcome', state: 'accepted', hits: ['open scanner', 'open unknown'] });
    await message({ key: 'w4', step: 'welcome', state: 'accepted', at: DAY_2 });
    await message({ key: 'w5', step: 'welcome', state: 'ready' });
    await message({ key: 'w6', step: 'welcome', state: 'unknown' });
    await message({ key: 'w7', step: 'welcome', state: 'unknown', hits: ['open proxy'] });
    expect((await analytics.funnel('sold')).steps).toEqual([
      {
        key: 'story',
        kind: 'email',
        template: 'emails/story',
        path: [],
        sent: 0,
        opened: 0,
        openedMachine: 0,
        clicked: 0,
        openRate: null,
        clickRate: null,
      },
      {
        key: 'welcome',
        kind: 'email',
        template: 'emails/welcome',
        path: [],
        sent: 5,
        opened: 2,
        openedMachine: 2,
        clicked: 1,
        openRate: 0.4,
        clickRate: 0.2,
      },
    ]);
  });

  it('earns nothing from a refunded, a pending or a declined order', async () => {
    await order({ id: 1, status: 'paid', amountMinor: 1000 });
    await order({ id: 2, status: 'paid', amountMinor: 500, at: DAY_2 });
    await order({ id: 3, status: 'paid', amountMinor: 700, currency: 'EUR' });
    await order({ id: 4, status: 'refunded', amountMinor: 10_000 });
    await order({ id: 5, status: 'pending', amountMinor: 10_000 });
    await order({ id: 6, status: 'declined', amountMinor: 10_000 });
    await db.query(`update orders set refunded_minor = 300 where number = 'WS-1'`);
    expect(await analytics.funnel('sold')).toMatchObject({
      orders: 4,
      refunds: 1,
      revenue: { amountMinor: 1200, currency: 'USD' },
      revenues: [
        { amountMinor: 1200, currency: 'USD' },
        { amountMinor: 700, currency: 'EUR' },
      ],
    });
  });

  it('looks at a period with its start and without its end', async () => {
    const report = await analytics.funnel('sold', { from: new Date(DAY_2), to: null });
    expect(report).toMatchObject({
      visitors: 1,
      offerViews: 1,
      orders: 1,
      revenue: { amountMinor: 500, currency: 'USD' },
    });
    const before = await analytics.funnel('sold', { from: null, to: new Date(DAY_2) });
    expect(before).toMatchObject({ visitors: 1, orders: 3 });
    expect(before.steps.map(({ sent, opened }) => [sent, opened])).toEqual([
      [0, 0],
      [4, 2],
    ]);
  });

  it('lists every funnel with its own numbers', async () => {
    const funnels = await analytics.funnels();
    expect(funnels.map(({ key, visitors, orders }) => [key, visitors, orders])).toEqual([
      ['other', 0, 0],
      ['sold', 2, 4],
    ]);
    const period = { from: null, to: null };
    const [newest] = await analytics.page({ limit: 1 }, period);
    expect(newest).toMatchObject({ key: 'other', visitors: 0 });
    const [next] = await analytics.page({ limit: 1, beforeId: newest?.id }, period);
    expect(next).toMatchObject({ key: 'sold', visitors: 2, orders: 4 });
    expect(await analytics.page({ limit: 1, beforeId: next?.id }, period)).toEqual([]);
  });

  it('refuses a funnel that does not exist', async () => {
    await expect(analytics.funnel('nothing')).rejects.toMatchObject({ code: 'FUNNEL_NOT_FOUND' });
  });
});
