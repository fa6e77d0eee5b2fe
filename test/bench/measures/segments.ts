import type { DataSource } from 'typeorm';
import type { Condition } from '../../../src/segments/condition.js';
import { FieldBlocksService } from '../../../src/segments/field-blocks.service.js';
import { SegmentsService } from '../../../src/segments/segments.service.js';
import { atMost, type BenchContext, fact, median, type Row } from '../bench.js';
import { openInstallation } from '../installation.js';

const ROUNDS = 5;
const PAGE = 50;
const BAR_MS = 300;
const TABLES = [
  'subscriber',
  'subscriber_tag',
  'tracking_event',
  'orders',
  'order_line',
  'field_block',
  'stale_block',
];

/** What owners ask, from plain to all at once. */
const SEGMENTS: Readonly<Record<string, Condition>> = {
  'status and tag': { all: [{ status: ['active'] }, { tag: 't1' }] },
  'a field above a number': { all: [{ status: ['active'] }, { field: 'age', op: 'above', value: 60 }] },
  'a part of a text': { field: 'plan', op: 'contains', value: 'ro' },
  'a text field': { field: 'plan', op: 'is', value: 'pro' },
  'signed up in 30 days': { signedUp: { withinDays: 30 } },
  'clicked in 30 days': { all: [{ status: ['active'] }, { clicked: { withinDays: 30 } }] },
  'no open in 90 days': { all: [{ status: ['active'] }, { not: { opened: { withinDays: 90 } } }] },
  'bought A and not B': { all: [{ purchased: { product: 'a' } }, { not: { purchased: { product: 'b' } } }] },
  'a tree of eight': {
    all: [
      { status: ['active', 'pending'] },
      { any: [{ tag: 't1' }, { tag: 't2' }, { clicked: { withinDays: 30 } }] },
      { not: { any: [{ purchased: { product: 'b' } }, { field: 'age', op: 'below', value: 25 }] } },
      { signedUp: { withinDays: 700 } },
    ],
  },
};

/** Counts and first pages of segments over a million subscribers, through the service that REST and broadcasts use. */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!context.wants('segments')) return [];
  const people = context.short ? 20_000 : 1_000_000;
  const installation = await openInstallation();
  try {
    const { dataSource, app } = installation;
    const startedAt = performance.now();
    await seed(dataSource, people);
    const seededAt = performance.now();
    await app.get(FieldBlocksService, { strict: false }).renew();
    const renewed = performance.now() - seededAt;
    // As autovacuum leaves them.
    for (const table of TABLES) await dataSource.query(`vacuum analyze ${table}`);
    context.print(`${people} subscribers made in ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
    const segments = app.get(SegmentsService, { strict: false });
    const rows: Row[] = [fact('segments: blocks of two fields renewed for all', renewed, 'ms')];
    const slowest = { count: 0, page: 0 };
    for (const [name, condition] of Object.entries(SEGMENTS)) {
      const count = await timed(() => segments.count(condition));
      const page = await timed(() => segments.people(condition, { beforeId: undefined, limit: PAGE + 1 }));
      slowest.count = Math.max(slowest.count, count);
      slowest.page = Math.max(slowest.page, page);
      rows.push(
        fact(`segments: ${name}, count`, count, 'ms'),
        fact(`segments: ${name}, first page`, page, 'ms'),
      );
    }
    rows.push(atMost('segments: slowest count over a million', slowest.count, BAR_MS, 'ms'));
    rows.push(atMost('segments: slowest first page over a million', slowest.page, BAR_MS, 'ms'));
    return rows;
  } finally {
    await installation.close();
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  await work();
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedAt = performance.now();
    await work();
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

/** Ages, plans, three tags, two hits for every third person and an order for every tenth; spread over two years. */
async function seed(db: DataSource, people: number): Promise<void> {
  await db.query(
    `insert into subscriber_field (key, label, type, created_at) values ('age', 'Age', 'number', now()), ('plan', 'Plan', 'text', now())`,
  );
  await db.query(
    `insert into subscriber (email, email_key, name, status, fields, created_at, confirmed_at, updated_at)
     select m, m, 'Grace Reader ' || n, case when n % 10 < 8 then 'active' when n % 10 = 8 then 'pending' else 'unsubscribed' end,
       jsonb_build_object('age', 18 + n * 7 % 62, 'plan', (array['free', 'pro', 'team'])[1 + n % 3], 'city', 'Springfield'), at, at, at
     from (select n, 'reader-' || n || '@example.net' as m, now() - (n::float8 / $1) * interval '730 days' as at
             from generate_series(1, $1::int) n) x`,
    [people],
  );
  await db.query(`insert into tag (name, created_at) select 't' || n, now() from generate_series(1, 3) n`);
  await db.query(
    `insert into subscriber_tag select s.id, t.id, now() from subscriber s join tag t on s.id % 5 = t.id % 5 or s.id % 7 = t.id`,
  );
  await db.query(
    `with t as (insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
       values ('bench', '\\x00', '', 's', 'h', 't', now()) returning id)
     insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, state, due_at, created_at)
     select 'bench:' || n, 'marketing', 'broadcast', t.id, '{}', 'a', '\\x00', 'h' || n, 'accepted', now(), now()
     from t, generate_series(1, 1000) n`,
  );
  await db.query(
    `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id)
     select k.kind, 1 + s.id % 1000, k.class, 'bench', 1, now() - (s.id * 37 % 400) * interval '1 day', s.id
     from subscriber s cross join (values ('open', 'unknown'), ('click', 'human')) k (kind, class) where s.id % 3 = 0`,
  );
  await db.query(
    `with p as (insert into product (key, funnel_key, name, amount_minor, currency, created_at, updated_at)
       values ('a', 'f', 'A', 100, 'EUR', now(), now()), ('b', 'f', 'B', 100, 'EUR', now(), now()) returning id),
     o as (insert into offer (slug, funnel_key, product_id, content, sender, created_at, updated_at)
       select 'o', 'f', min(id), '{}', '{}', now(), now() from p returning id)
     insert into orders (number, funnel_key, offer_id, subscriber_id, email, status, amount_minor, currency, provider, created_at, paid_at)
     select s.id::text, 'f', o.id, s.id, 'e', 'paid', 100, 'EUR', 'bench', now(), now() from subscriber s, o where s.id % 10 = 0`,
  );
  await db.query(
    `insert into order_line (order_id, product_id, kind, full_amount_minor, amount_minor)
     select o.id, p.id, 'main', 100, 100 from orders o join product p on p.key = 'a' or o.id % 3 = 0`,
  );
}
