import { domainSql } from '../../values/email-address.js';
import type { EntityManager } from 'typeorm';
import { countsAsOpened } from '../../values/counted-hits.js';
import { HOLDOUT } from '../../segments/held-out.js';
import { armOfReader } from '../../delivery/message/arm-of-reader.js';
import { loadAssignments } from '../../experiments/assignments.queries.js';
import type { Answers } from './advance-batch.js';
import { boughtTag, fieldHolds, type Leaf } from '../steps/condition.js';
import { armOutcome } from '../steps/definition.js';
import { needKey, type Need } from '../steps/prepared.js';
import type { Promised } from '../steps/progress.js';
import { eventAnswers } from './event-facts.queries.js';
import { ownsSql } from '../offers/owners.queries.js';
import { promisesSql } from '../offers/promises.queries.js';

interface Ask<N extends Need = Need> {
  /** `zone`: of the person, where days are counted by it. */
  row: { id: string; subscriberId: string; zone?: string };
  need: N;
}

/** What a condition is asked with. */
type Texts = readonly [one: string, two: string, three?: string];

/**
 * Answers what the steps of a batch ask, one statement for each sort of question. Called by sequences.advance-due in its
 * transaction; locks nothing. Everything is found by an enrollment's mails (`message_dedupe_key_key`) or by primary keys
 * that begin with the subscriber or the enrollment.
 */
export async function loadAnswers(manager: EntityManager, asks: readonly Ask[], now: Date): Promise<Answers> {
  const answers = new Map<string, Map<string, unknown>>();
  const put = (ask: Ask | undefined, value: unknown): void => {
    if (ask === undefined) return;
    const { row, need } = ask;
    let own = answers.get(row.id);
    if (own === undefined) answers.set(row.id, (own = new Map()));
    own.set(needKey(need), value);
  };
  const of = <K extends Need['kind']>(...kinds: K[]): Ask<Extract<Need, { kind: K }>>[] =>
    asks.filter((ask): ask is Ask<Extract<Need, { kind: K }>> => (kinds as string[]).includes(ask.need.kind));

  const both = async <N extends Need>(
    questions: Ask<N>[],
    condition: string,
    textsOf: (need: N) => Texts,
  ) => {
    if (questions.length === 0) return;
    const texts = questions.map(({ need }) => textsOf(need));
    for (const place of await placesWhere(manager, questions, condition, texts)) put(questions[place], true);
  };
  const each = async <N extends Need>(questions: Ask<N>[], condition: string, textOf: (need: N) => string) =>
    both(questions, condition, (need) => [textOf(need), '']);
  await each(of('tag', 'purchased'), TAGGED, tagOf);
  const events = of('event');
  await each(of('list'), ON_LIST, ({ list }) => list);
  await each(of('refunded'), GIVEN_BACK, ({ product }) => product);
  for (const [place, answer] of await eventAnswers(manager, events)) put(events[place], answer);
  await each(of('affiliate'), SENT_BY, ({ whose }) => whose);
  await both(of('clicked', 'opened'), HIT, ({ kind, step }) => [step, kind === 'clicked' ? 'click' : 'open']);
  await both(of('step'), WAS, ({ step, was }) => [step, was]);
  const splits = of('split');
  const isOwn = ({ need }: (typeof splits)[number]): boolean => need.sequence === undefined;
  await both(splits.filter(isOwn), onArm('u.enrollment_id'), ({ step, arm }) => [step, arm]);
  const elsewhere = splits.filter((ask) => !isOwn(ask));
  await both(elsewhere, ON_ARM_ELSEWHERE, ({ step, arm, sequence = '' }) => [step, arm, sequence]);
  const members = of('member', 'memberEnd');
  for (const [place, value] of await memberAnswers(manager, members, now)) put(members[place], value);
  const fields = of('field', 'date');
  for (const [place, value] of await fieldValues(manager, fields)) {
    const ask = fields[place];
    if (!ask) continue;
    const { need, row } = ask;
    const clock = row.zone === undefined ? null : { now, zone: row.zone };
    put(ask, need.kind === 'date' ? value : fieldHolds(need, value, clock));
  }
  const promises = of('promise');
  for (const [place, promised] of await promisesOf(manager, promises, now)) put(promises[place], promised);
  const offers = of('owned');
  for (const [place, product] of await ownedProducts(manager, offers, now)) put(offers[place], product);
  const arms = of('arm');
  const places = await loadAssignments(
    manager,
    arms.map(({ row, need }) => ({ experiment: need.split.experiment, subscriberId: row.subscriberId })),
  );
  for (const [place, assignment] of places.entries()) put(arms[place], assignment);
  return answers;
}

/** The tag that a condition asks for. */
export function tagOf(need: Extract<Leaf, { kind: 'tag' | 'purchased' }>): string {
  return need.kind === 'tag' ? need.tag : boughtTag(need.product);
}

/** Conditions over `u`: the enrollment, the subscriber and two texts. Whoever clicked has opened. */
const HIT = `exists (select 1 from message m join tracking_event e on e.message_id = m.id
  where m.dedupe_key = 'seq:' || u.enrollment_id || ':' || u.one and e.kind in ('click', u.two) and ${countsAsOpened('e')})`;
const TAGGED = `exists (select 1 from tag t join subscriber_tag st on st.tag_id = t.id
  where t.name = u.one and st.subscriber_id = u.subscriber_id)`;
const ON_LIST = `exists (select 1 from list l join list_member m on m.list_id = l.id
  where l.key = u.one and m.subscriber_id = u.subscriber_id)`;
/** What was bought twice and given back once is kept. By `orders_subscriber`. */
const GIVEN_BACK = `exists (select 1 from orders o join order_line l on l.order_id = o.id join product p on p.id = l.product_id
  where o.subscriber_id = u.subscriber_id and p.key = u.one and l.taken_back_at is not null)
  and not ${TAGGED.replace('u.one', `'${boughtTag('')}' || u.one`)}`;
const SENT_BY = `case u.one
  when 'any' then exists (select 1 from referral r where r.subscriber_id = u.subscriber_id)
  when 'none' then not exists (select 1 from referral r where r.subscriber_id = u.subscriber_id)
  when 'self' then exists (select 1 from subscriber s join affiliate a on a.email_key = s.email_key where s.id = u.subscriber_id)
  else exists (select 1 from referral r join affiliate a on a.id = r.affiliate_id
    where r.subscriber_id = u.subscriber_id and a.code = u.one) end`;
/** A mail that never left, such as a pitch for what its reader has bought meanwhile: the step came to nothing for them. */
const NEVER_LEFT = `m.state in ('cancelled', 'expired', 'suppressed')`;
const PASSED_OVER = `(o.outcome like 'expired %' or o.outcome like 'no date %' or o.outcome like 'already owns %' or o.outcome = '${HOLDOUT}')`;
const WAS = `case u.two
  when 'ran' then exists (select 1 from message m where m.dedupe_key = 'seq:' || u.enrollment_id || ':' || u.one and not ${NEVER_LEFT})
    or exists (select 1 from enrollment_step o where o.enrollment_id = u.enrollment_id and o.step_key = u.one
      and not ${PASSED_OVER})
  when 'skipped' then exists (select 1 from message m where m.dedupe_key = 'seq:' || u.enrollment_id || ':' || u.one and ${NEVER_LEFT})
    or exists (select 1 from enrollment_step o where o.enrollment_id = u.enrollment_id and o.step_key = u.one
      and ${PASSED_OVER})
  else exists (select 1 from enrollment_step o where o.enrollment_id = u.enrollment_id and o.step_key = u.one
      and o.outcome = u.two) end`;
/** A path is written down with its enrollment, and so is who is held out. Of a mail, the arm is that of its reader. */
function onArm(enrollmentId: string): string {
  return `(exists (select 1 from enrollment_step o where o.enrollment_id = ${enrollmentId} and o.step_key = u.one
    and o.outcome = case when u.two = '${HOLDOUT}' then u.two else '${armOutcome('')}' || u.two end)
  or exists (select 1 from message m where m.dedupe_key = 'seq:' || ${enrollmentId} || ':' || u.one and m.state <> 'cancelled')
    and u.two = (
      select ${armOfReader({ test: `q.key || '/' || u.one`, subscriberId: 'u.subscriber_id', enrollmentId: 'n.id' })}
      from enrollment n join sequence q on q.id = n.sequence_id where n.id = ${enrollmentId}))`;
}

/** When they last came to the test in the sequence that is named third. By the key of `enrollment`. */
const ON_ARM_ELSEWHERE = `exists (select 1 from (
    select t.id from enrollment t join sequence s on s.id = t.sequence_id
    where t.subscriber_id = u.subscriber_id and s.key = u.three and (
      exists (select 1 from enrollment_step d where d.enrollment_id = t.id and d.step_key = u.one
        and (d.outcome = '${HOLDOUT}' or d.outcome like '${armOutcome('')}%'))
      or exists (select 1 from message w where w.dedupe_key = 'seq:' || t.id || ':' || u.one and w.state <> 'cancelled'))
    order by t.occurrence desc limit 1) l where ${onArm('l.id')})`;

/**
 * The condition is behind a scalar subquery: PostgreSQL would turn an `exists` into a hash of the whole table, such as of
 * everybody's tags, once for each batch.
 */
async function placesWhere(
  manager: EntityManager,
  asks: readonly Ask[],
  condition: string,
  texts: readonly Texts[],
): Promise<number[]> {
  const rows: { place: number }[] = await manager.query(
    `select u.place::int as place from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[]) with ordinality
       as u (enrollment_id, subscriber_id, one, two, three, place) where (select ${condition})`,
    [
      asks.map(({ row }) => row.id),
      asks.map(({ row }) => row.subscriberId),
      texts.map(([one]) => one),
      texts.map(([, two]) => two),
      texts.map(([, , three = '']) => three),
    ],
  );
  return rows.map(({ place }) => place - 1);
}

/** Of offers whose product the person owns, that product. */
async function ownedProducts(
  manager: EntityManager,
  asks: readonly Ask<Extract<Need, { kind: 'owned' }>>[],
  now: Date,
): Promise<[number, string][]> {
  if (asks.length === 0) return [];
  const owns = ownsSql({ subscriberId: 'u.subscriber_id', productId: 'p.id', product: 'p.key', now: '$3' });
  const rows: { place: number; product: string }[] = await manager.query(
    `select u.place::int - 1 as place, p.key as product
     from unnest($1::bigint[], $2::text[]) with ordinality as u (subscriber_id, slug, place)
     join offer o on o.slug = u.slug join product p on p.id = o.product_id where ${owns}`,
    [asks.map(({ row }) => row.subscriberId), asks.map(({ need }) => need.offer), now],
  );
  return rows.map(({ place, product }) => [place, product]);
}

/** By subscriber, as the checkout reads it. */
async function promisesOf(
  manager: EntityManager,
  asks: readonly Ask<Extract<Need, { kind: 'promise' }>>[],
  now: Date,
): Promise<[number, Promised][]> {
  if (asks.length === 0) return [];
  const rows: (Promised & { place: number })[] = await manager.query(
    `select u.place::int - 1 as place, promised.* from unnest($1::bigint[], $2::text[]) with ordinality as u (subscriber_id, slug, place)
     cross join lateral (${promisesSql({ subscriberId: 'u.subscriber_id', slug: 'u.slug', now: '$3' })}) promised`,
    [asks.map(({ row }) => row.subscriberId), asks.map(({ need }) => need.offer), now],
  );
  return rows.map(({ place, until, price }) => [place, { until, price }]);
}

async function fieldValues(
  manager: EntityManager,
  asks: readonly Ask<Extract<Need, { field: string }>>[],
): Promise<[number, string | null][]> {
  if (asks.length === 0) return [];
  const rows: { place: number; value: string | null }[] = await manager.query(
    `select u.place::int as place, case u.field when 'email' then s.email_key when 'emailDomain' then ${domainSql('s.email_key')}
       when 'name' then s.name when 'timeZone' then s.time_zone when 'locale' then s.locale else s.fields ->> u.field end as value
     from unnest($1::bigint[], $2::text[]) with ordinality as u (subscriber_id, field, place)
     join subscriber s on s.id = u.subscriber_id`,
    [asks.map(({ row }) => row.subscriberId), asks.map(({ need }) => need.field)],
  );
  return rows.map(({ place, value }) => [place - 1, value]);
}

/** A membership whose end has passed has ended, whether or not that is written down. Served by the key of `membership`. */
async function memberAnswers(
  manager: EntityManager,
  asks: readonly Ask<Extract<Need, { kind: 'member' | 'memberEnd' }>>[],
  now: Date,
): Promise<[number, boolean | string | null][]> {
  if (asks.length === 0) return [];
  const rows: { place: number; state: string; endsAt: Date | null }[] = await manager.query(
    `select u.place::int as place, m.ends_at as "endsAt",
       case when m.state = 'active' and m.ends_at <= $3 then 'ended' else m.state end as state
     from unnest($1::bigint[], $2::text[]) with ordinality as u (subscriber_id, product, place)
     join product p on p.key = u.product
     join membership m on m.subscriber_id = u.subscriber_id and m.product_id = p.id
     order by u.place, m.updated_at`,
    [asks.map(({ row }) => row.subscriberId), asks.map(({ need }) => need.product), now],
  );
  const answers = new Map<number, boolean | string | null>();
  for (const { place, state, endsAt } of rows) {
    const need = asks[place - 1]?.need;
    if (need?.kind === 'memberEnd') answers.set(place - 1, endsAt?.toISOString() ?? null);
    else if (need?.state === state) answers.set(place - 1, true);
  }
  return [...answers];
}
