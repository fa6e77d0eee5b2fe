import fc from 'fast-check';
import type { DataSource } from 'typeorm';
import { SUBSCRIBER_STATUSES, type SubscriberStatus } from '../../../src/subscribers/subscription-status.js';
import { boundsOf } from '../../../src/segments/days.js';
import type { FieldDefinition } from '../../../src/subscribers/field.js';

export const NOW = new Date('2026-03-02T09:00:00Z');
const DAY_MS = 86_400_000;
/** Now is 09:00 there, 18:00, 01:00 and 20:00. */
export const OWNER_ZONES = ['UTC', 'Asia/Tokyo', 'America/Los_Angeles', 'Australia/Lord_Howe'];

export const TAGS = ['a', 'b', `o'b"c\\`];
export const LISTS = ['news', 'vip'];
export const PRODUCTS = ['kit', 'course'];
export const AFFILIATES = ['ada', 'bo'];
export const EVENTS = ['visited', 'booked.call'];
export const FUNNELS = ['f1', 'f2'];
export const STEPS = ['s1', 's2'];
export const FORMS = ['form1', 'form2'];
export const BROADCASTS = 2;
/** Of step s1 of f1, which was edited, and of f2. */
export const TESTS = ['f1/s1', 'f1/s1', 'f2/s1'];
export const ARMS = ['a', 'b', 'holdout'];
export const TEXTS = ['', 'pro', 'Pro Plan', 'straße', `x' or true --`, 'É', '%', '_'];

const field = (key: string, type: FieldDefinition['type'], choices: string[] = []): FieldDefinition => ({
  ...{ key, label: key, type, choices },
});
export const DEFINITIONS = new Map(
  [
    field('plan', 'text'),
    field('age', 'number'),
    field('birthday', 'date'),
    field('vip', 'boolean'),
    field('size', 'choice', ['S', 'M', 'L']),
  ].map((one) => [one.key, one]),
);

export interface MailFact {
  at: Date;
  /** Of a broadcast, or of a step of a funnel. */
  broadcast: number | null;
  funnel: string | null;
  step: string | null;
  /** Place among the arms of the broadcast. */
  arm: number | null;
}

/** Somebody as the tests know them: everything that a condition can ask. */
export interface Person {
  email: string;
  name: string | null;
  timeZone: string | null;
  locale: string | null;
  status: SubscriberStatus;
  createdAt: Date;
  confirmedAt: Date | null;
  fields: Record<string, unknown>;
  tags: string[];
  lists: string[];
  mails: (MailFact & { state: string; hits: { kind: string; class: string; at: Date }[] })[];
  orders: { status: string; paidAt: Date | null; products: string[] }[];
  memberships: { product: string; state: string; endsAt: Date | null }[];
  events: { name: string; at: Date }[];
  /** The code of whose link they came by. */
  affiliate: string | null;
  isAffiliate: boolean;
  enrollments: { funnel: string; status: string }[];
  /** By the place of the test. Only who is in a sequence has any. */
  arms: { test: number; arm: string }[];
  forms: string[];
}

const bound = fc
  .tuple(fc.constantFrom(1, 7, 30, 90), fc.constantFrom(...OWNER_ZONES), fc.constantFrom(-1, 0, 1))
  .map(([withinDays, zone, ms]) => {
    const { from } = boundsOf({ withinDays }, { now: NOW, zone });
    return new Date(Date.parse(from ?? '') + ms);
  });
/** Days before now, with the bounds of the windows that the trees ask for among them. */
export const instant: fc.Arbitrary<Date> = fc.oneof(
  bound,
  fc
    .double({ min: 0, max: 120, noNaN: true })
    .map((days) => new Date(Math.round(NOW.getTime() - days * DAY_MS))),
);

export const day: fc.Arbitrary<string> = fc
  .integer({ min: -40, max: 40 })
  .map((days) => new Date(NOW.getTime() + days * DAY_MS).toISOString().slice(0, 10));

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 3 });
const someOf = <T>(values: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...values]);

const mail = fc
  .record({
    at: instant,
    of: fc.oneof(
      fc.record({
        broadcast: fc.integer({ min: 0, max: BROADCASTS - 1 }),
        funnel: fc.constant(null),
        step: fc.constant(null),
        arm: fc.constantFrom(null, 0, 1),
      }),
      fc.record({
        broadcast: fc.constant(null),
        funnel: fc.constantFrom(...FUNNELS),
        step: fc.constantFrom(...STEPS),
        arm: fc.constant(null),
      }),
    ),
    state: fc.constantFrom('accepted', 'accepted', 'unknown', 'rejected', 'ready'),
    hits: fc.array(
      fc.record({
        kind: fc.constantFrom('open', 'click'),
        class: fc.constantFrom('human', 'proxy', 'scanner', 'unknown'),
        at: instant,
      }),
      { maxLength: 3 },
    ),
  })
  .map(({ of, ...rest }) => ({ ...rest, ...of }));

const fields = fc.record(
  {
    plan: fc.oneof(fc.constantFrom(...TEXTS), fc.constant(7)),
    age: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(2.5, -1e9), fc.constant('9')),
    birthday: fc.oneof(day, fc.constantFrom('yesterday', '2026-3-1', '')),
    vip: fc.oneof(fc.boolean(), fc.constant('true')),
    size: fc.constantFrom('S', 'M', 'L', 'XL'),
  },
  { requiredKeys: [] },
);

export const person: fc.Arbitrary<Person> = fc.record({
  email: fc.constantFrom('x@example.com', 'y@example.org', 'z@mail.example.net'),
  name: maybe(fc.constantFrom(...TEXTS)),
  timeZone: maybe(fc.constantFrom('Europe/Berlin', 'UTC')),
  locale: maybe(fc.constantFrom('en', 'de-AT')),
  status: fc.constantFrom(...SUBSCRIBER_STATUSES),
  createdAt: instant,
  confirmedAt: maybe(instant),
  fields,
  tags: someOf(TAGS),
  lists: someOf(LISTS),
  events: fc.array(fc.record({ name: fc.constantFrom(...EVENTS), at: instant }), { maxLength: 5 }),
  mails: fc.array(mail, { maxLength: 4 }),
  orders: fc.array(
    fc.record({
      status: fc.constantFrom('paid', 'refunded', 'pending'),
      paidAt: instant,
      products: fc.subarray([...PRODUCTS], { minLength: 1 }),
    }),
    { maxLength: 2 },
  ),
  memberships: fc.uniqueArray(
    fc.record({
      product: fc.constantFrom(...PRODUCTS),
      state: fc.constantFrom('active', 'active', 'ended', 'refunded'),
      endsAt: maybe(fc.oneof(instant, fc.constantFrom(NOW, new Date(NOW.getTime() + DAY_MS)))),
    }),
    { selector: ({ product }) => product, maxLength: 2 },
  ),
  affiliate: maybe(fc.constantFrom(...AFFILIATES)),
  isAffiliate: fc.boolean(),
  enrollments: fc.uniqueArray(
    fc.record({
      funnel: fc.constantFrom(...FUNNELS),
      status: fc.constantFrom('active', 'completed', 'exited'),
    }),
    { selector: ({ funnel }) => funnel, maxLength: 2 },
  ),
  arms: fc.uniqueArray(
    fc.record({ test: fc.integer({ min: 0, max: TESTS.length - 1 }), arm: fc.constantFrom(...ARMS) }),
    { selector: ({ test }) => test },
  ),
  forms: someOf(FORMS),
});

/** Writes them down; answers with their ids in the same order. */
export async function seedPeople(db: DataSource, people: readonly Person[]): Promise<string[]> {
  await seedWorld(db);
  const ids: string[] = [];
  for (const [index, one] of people.entries()) {
    const email = one.email.replace('@', `${index}@`);
    const rows: { id: string }[] = await db.query(
      `insert into subscriber (email, email_key, name, status, time_zone, locale, fields, created_at, confirmed_at, updated_at)
       values ($1, $1, $2, $3, $4, $5, $6, $7, $8, $7) returning id`,
      [
        email,
        one.name,
        one.status,
        one.timeZone,
        one.locale,
        JSON.stringify(one.fields),
        one.createdAt,
        one.confirmedAt,
      ],
    );
    const id = rows[0]?.id ?? '';
    ids.push(id);
    await db.query(`insert into subscriber_tag select $1, id, now() from tag where name = any ($2::text[])`, [
      id,
      one.tags,
    ]);
    await db.query(`insert into list_member select id, $1, now() from list where key = any ($2::text[])`, [
      id,
      one.lists,
    ]);
    await db.query(
      `insert into signup (form_id, subscriber_id, status, created_at) select id, $1, 'confirmed', now() from form where slug = any ($2::text[])`,
      [id, one.forms],
    );
    for (const { funnel, status } of one.enrollments)
      await db.query(
        `insert into enrollment (sequence_id, version_id, subscriber_id, status, started_at)
         select q.id, q.current_version_id, $1, $2, now() from sequence q where q.funnel_key = $3`,
        [id, status, funnel],
      );
    for (const { test, arm } of one.arms)
      await db.query(
        `insert into experiment_assignment (experiment_id, subscriber_id, arm, period, enrollment_id, carried, assigned_at)
         select x.id, $1, $2, 0, (select min(e.id) from enrollment e where e.subscriber_id = $1), false, now()
         from experiment x where x.key = $3 and exists (select 1 from enrollment e where e.subscriber_id = $1)`,
        [id, arm, `test ${test}`],
      );
    for (const { name, at } of one.events)
      await db.query(
        'insert into subscriber_event (subscriber_id, name, at, created_at) values ($1, $2, $3, now())',
        [id, name, at],
      );
    await seedMails(db, id, one.mails);
    await seedOrders(db, id, one.orders);
    if (one.isAffiliate)
      await db.query(
        `insert into affiliate (code, name, email, email_key, state, created_at, updated_at)
         select 'own-' || id, 'A', email, email_key, 'active', $2, $2 from subscriber where id = $1`,
        [id, NOW],
      );
    if (one.affiliate !== null)
      await db.query(
        `insert into referral (subscriber_id, affiliate_id, touched_at, source, recorded_at)
         select $1, id, $2, 'form', $2 from affiliate where code = $3`,
        [id, NOW, one.affiliate],
      );
    for (const { product, state, endsAt } of one.memberships)
      await db.query(
        `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
         select $1, id, $2, $3, $4, $3, $3 from product where key = $5`,
        [id, state, one.createdAt, endsAt, product],
      );
  }
  return ids;
}

async function seedWorld(db: DataSource): Promise<void> {
  const texts = (values: readonly string[]): string[] => [...values];
  await db.query('insert into tag (name, created_at) select unnest($1::text[]), now()', [texts(TAGS)]);
  await db.query(`insert into list (key, title, created_at) select unnest($1::text[]), 'L', now()`, [
    texts(LISTS),
  ]);
  await db.query(
    `insert into product (key, funnel_key, name, amount_minor, currency, created_at, updated_at)
     select unnest($1::text[]), 'f1', 'P', 100, 'EUR', now(), now()`,
    [texts(PRODUCTS)],
  );
  await db.query(
    `insert into affiliate (code, name, email, state, created_at, updated_at)
     select code, 'A', code || '@example.org', 'active', now(), now() from unnest($1::text[]) code`,
    [texts(AFFILIATES)],
  );
  await db.query(
    `insert into offer (slug, funnel_key, product_id, content, sender, created_at, updated_at)
     select 'o', 'f1', min(id), '{}', '{}', now(), now() from product`,
  );
  await db.query(
    `insert into form (slug, funnel_key, template, opt_in, consent_text, content, sequence_key, sender, created_at, updated_at)
     select unnest($1::text[]), 'f1', 't', 'double', 'c', '{}', 'f1', '{}', now(), now()`,
    [texts(FORMS)],
  );
  await db.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at) values ('t', 'h', '', '', '', '', now())`,
  );
  for (const key of FUNNELS) {
    await db.query(
      `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
         values ($1, $1, 'T', '{}', now(), now()) returning id)
       insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
         select id, 1, '{}', 'h', now() from q`,
      [key],
    );
  }
  await db.query(
    'update sequence q set current_version_id = v.id from sequence_version v where v.sequence_id = q.id',
  );
  for (const [place, test] of TESTS.entries())
    await db.query(
      `insert into experiment (key, test, funnel_key, step_key, terms, started_at) values ($1, $2, 'f1', 's1', '{}', now())`,
      [`test ${place}`, test],
    );
  for (let n = 0; n < BROADCASTS; n++)
    await db.query(
      `insert into broadcast (title, email_template_id, sender, created_at) select 'B', id, '{}', now() from email_template`,
    );
}

async function seedMails(db: DataSource, id: string, mails: Person['mails']): Promise<void> {
  for (const [index, { at, broadcast, funnel, step, arm, state, hits }] of mails.entries()) {
    const rows: { id: string }[] = await db.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, broadcast_id, funnel_key, step_key, email_template_id, sender,
         address, address_hash, message_id_header, state, accepted_at, due_at, created_at, arm)
       select $1, 'marketing', 'sequence', $2, $3, $4, $5, t.id, '{}', 'a', $1::text::bytea, $1, $6,
         case when $6 in ('accepted', 'unknown') then $7::timestamptz end, $7, $7, $8 from email_template t returning id`,
      [`${id}:${index}`, id, broadcast === null ? null : broadcast + 1, funnel, step, state, at, arm],
    );
    for (const hit of hits)
      await db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id) values ($1, $2, $3, 'r', 1, $4, $5)`,
        [hit.kind, rows[0]?.id, hit.class, hit.at, id],
      );
  }
}

async function seedOrders(db: DataSource, id: string, orders: Person['orders']): Promise<void> {
  for (const [index, { status, paidAt, products }] of orders.entries())
    await db.query(
      `with o as (insert into orders (number, funnel_key, offer_id, subscriber_id, email, status, amount_minor, currency, provider, created_at, paid_at)
         select $1, 'f1', (select id from offer), $2, 'e', $3, 100, 'EUR', 'test', now(), $4 returning id)
       insert into order_line (order_id, product_id, kind, full_amount_minor, amount_minor)
         select o.id, p.id, 'main', 100, 100 from o, product p where p.key = any ($5::text[])`,
      [`${id}-${index}`, id, status, paidAt, products],
    );
}
