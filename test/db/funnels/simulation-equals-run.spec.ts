import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { OverdueService } from '../../../src/delivery/pacing/overdue.service.js';
import { DomainError } from '../../../src/values/domain-error.js';
import {
  simulatePeople,
  type SimulatedPerson,
  type SimulationOrder,
} from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import type { TimelineEntry } from '../../../src/funnels/simulation/timeline.js';
import { EnrollmentsService } from '../../../src/sequences/enrollments.service.js';
import { moneyToText } from '../../../src/values/money.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { Dice } from '../../support/dice.js';
import { randomScenario, type Scenario } from './random-funnels.js';
import { Replay } from './replay.js';

/** More of them: `SIMULATIONS=200 SIMULATIONS_FROM=1000 npx vitest run …`. */
const RUNS = Number(process.env['SIMULATIONS'] ?? 4);
const FROM = Number(process.env['SIMULATIONS_FROM'] ?? 1);

/** What has happened to a person, in the same words for both worlds, each list in an order of its own. */
interface Account {
  mails: string[];
  notSent: string[];
  steps: string[];
  places: string[];
  waits: string[];
  offers: string[];
  orders: string[];
  upsells: string[];
  commissions: string[];
  tags: string[];
  fields: Record<string, unknown>;
}

describe('a simulation', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ variables: { DEMO: 'false' } });
    // Each scenario has a date of its own: jumping there is no outage.
    await test.app.get(OverdueService, { strict: false }).setSettings({ policy: 'send', afterHours: 24 });
  });
  afterAll(async () => test?.close());

  it.each(Array.from({ length: RUNS }, (_, index) => FROM + index))(
    'is what a real run of the same funnels does, mail by mail (%i)',
    async (seed) => {
      const { scenario, order } = scenarioOf(seed);
      const replay = new Replay(test, order);
      try {
        await replay.enterAll();
        const people = simulatePeople({ ...order, personId: (name, number) => replay.idOf(name, number) });
        await replay.run(scenario.funnels, people);
        for (const person of people) {
          const name = `${person.persona}, seed ${seed}\n${scenario.funnels.join('---\n')}\n${scenario.personas}`;
          const of = { name, ...(await accountOfRun(test, replay, person)) };
          expect(of).toEqual({ name, ...accountOfSimulation(person, order) });
        }
      } finally {
        await clear(test);
      }
    },
  );

  it('is asked for by the API, about a funnel that is there; and so is a forecast', async () => {
    const { order, text } = shopScenario();
    const replay = new Replay(test, order);
    try {
      await replay.enterAll();
      await replay.run([text], simulatePeople(order));
      const api = test.http.post('/api/v1/funnels/shop/simulate').set('Authorization', `Bearer ${API_KEY}`);
      const answer = await api.send({ start: '2026-03-02T09:00:00Z', days: 20 });
      expect(answer.status).toBe(200);
      expect(answer.body.people[0]).toMatchObject({ persona: 'reads-nothing', timeZone: 'Europe/Berlin' });
      expect(answer.body.summary).toMatchObject({ people: 3, purchases: 1 });
      for (const [personas, message] of [
        ['personas: [{ name: one, colour: red }]', 'personas:1: personas.0.colour'],
        ['personas: [{ name: many, count: 201 }]', '201 people are more than the 200'],
      ]) {
        const refused = await test.http
          .post('/api/v1/funnels/shop/simulate')
          .set('Authorization', `Bearer ${API_KEY}`)
          .send({ personas });
        expect([refused.status, refused.body.code]).toEqual([422, 'PERSONAS_INVALID']);
        expect(refused.body.detail).toContain(message);
      }
      await expectForecast();
    } finally {
      await clear(test);
    }
  });

  /** 40 people have had their mails: 2 left after the first, 8 of the other 38 bought, 2 of them with the bump. 20 are new. */
  async function expectForecast(): Promise<void> {
    const forecast = async (query = ''): Promise<Record<string, unknown>> => {
      const get = test.http.get(`/api/v1/forecast${query}`).set('Authorization', `Bearer ${API_KEY}`);
      return (await get.expect(200)).body as Record<string, unknown>;
    };
    expect(await forecast()).toMatchObject({
      people: 0,
      mailsInAll: { expected: 0, low: 0, high: 0 },
      income: [],
    });
    test.clock.set('2026-03-30T08:00:00Z');
    for (let person = 0; person < 20; person++) {
      const rows: { id: string }[] = await test.dataSource.query(
        `insert into subscriber (email, email_key, status, created_at, updated_at) values ($1, $1, 'active', $2, $2) returning id`,
        [`new-${person}@example.com`, test.clock.now()],
      );
      await test.dataSource.transaction(async (manager) =>
        test.app.get(EnrollmentsService, { strict: false }).enroll(manager, {
          ...{ sequenceKey: 'shop', subscriberId: rows[0]?.id ?? '', data: {} },
        }),
      );
    }
    const seen = await forecast('?days=10');
    expect(seen).toMatchObject({
      people: 20,
      band: 80,
      basis: { mails: 78, purchases: 8, left: 2, days: 365 },
    });
    const mails = seen['mails'] as { date: string; expected: number; low: number; high: number }[];
    expect(mails.map(({ date }) => date).slice(0, 3)).toEqual(['2026-03-30', '2026-03-31', '2026-04-01']);
    expect(mails[0]).toEqual({ date: '2026-03-30', expected: 20, low: 20, high: 20 });
    // The 40 signed up on the first of the 28 days that count.
    const { newcomers, inAll } = seen as {
      newcomers: { signUps: object; people: { expected: number } };
      inAll: { mailsInAll: { expected: number } };
    };
    expect(newcomers.signUps).toEqual({ people: 40, days: 28, byWeekday: false });
    expect(Math.abs(newcomers.people.expected / ((40 / 28) * (9 + 16 / 24)) - 1)).toBeLessThan(0.25);
    expect(inAll.mailsInAll.expected).toBeGreaterThan(
      (seen['mailsInAll'] as { expected: number }).expected + newcomers.people.expected / 2,
    );
    expect(mails[2]?.expected).toBeGreaterThan(18.3);
    expect(mails[2]?.expected).toBeLessThan(19.6);
    const [income] = seen['income'] as {
      expected: { amountMinor: number };
      low: { amountMinor: number };
      high: { amountMinor: number };
    }[];
    // 20 people, 38 of 40 of whom get to the offer, where 8 of 38 buy, a quarter of them for 9.00 EUR more.
    const middle = 20 * (38 / 40) * (8 / 38) * (3430 + 900 / 4);
    expect(Math.abs((income?.expected.amountMinor ?? 0) / middle - 1)).toBeLessThan(0.12);
    expect(income?.low.amountMinor).toBeLessThan(middle);
    expect(income?.high.amountMinor).toBeGreaterThan(middle);
    const wider = (await forecast('?days=10&band=95'))['income'] as { high: { amountMinor: number } }[];
    expect(wider[0]?.high.amountMinor).toBeGreaterThan(income?.high.amountMinor ?? 0);
    for (const query of ['?days=0', '?days=91', '?band=49', '?years=1'])
      await test.http.get(`/api/v1/forecast${query}`).set('Authorization', `Bearer ${API_KEY}`).expect(422);
    expect((await test.http.get('/admin/forecast')).headers['location']).toMatch(/^\/admin\/(setup|login)/);
    const owner = { email: 'owner@example.com', password: 'three unrelated words' };
    const answer = await test.http.post('/admin/setup').type('form').send(owner).expect(303);
    const cookie = String(answer.headers['set-cookie']).split(';')[0] ?? '';
    const page = await test.http.get('/admin/forecast').set('Cookie', cookie).expect(200);
    expect(page.text).toMatch(/<title>2026-03-30: 2\d \(20 to \d+\), \d of them to newcomers<\/title>/);
    expect(page.text).toMatch(
      /people are expected to sign up[\s\S]*as the 40 who confirmed in the last 28 days/,
    );
    expect(page.text).toContain('Measured in the last 365 days: 78 mails, 8 purchases, 2 left.');
  }

  function shopScenario(): { order: SimulationOrder; text: string } {
    const text = stringify({
      ...{ funnel: 'shop', title: 'Shop' },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
      form: { slug: 'shop', headline: 'Get it', consent: 'Send it to me', optIn: 'single' },
      sequence: {
        steps: [
          { key: 'hello', email: 'emails/story' },
          { key: 'pitch', email: 'emails/offer', offer: 'shop-kit', delay: '2 days', deadline: '3 days' },
        ],
        exitOn: [{ purchased: 'shop-kit' }],
      },
      products: [
        { key: 'shop-kit', name: 'Kit', price: '49.00 EUR' },
        { key: 'shop-list', name: 'List', price: '9.00 EUR' },
      ],
      offers: [{ key: 'shop-kit', product: 'shop-kit', discount: '30%', bump: 'shop-list' }],
    });
    const personas = `personas:
  - { name: quiet, count: 30 }
  - { name: leaves, count: 2, does: [{ unsubscribes: true, afterMail: hello, after: 5 hours }] }
  - { name: buys, count: 6, does: [{ buys: shop-kit, afterMail: pitch, after: 5 hours }] }
  - { name: buys-more, count: 2, does: [{ buys: shop-kit, withBump: true, afterMail: pitch, after: 5 hours }] }`;
    const start = new Date('2026-03-02T09:00:00Z');
    const order = simulationFromFiles(
      [{ name: 'shop', text }],
      { name: 'personas', text: personas },
      { start, days: 20, now: start },
    );
    return { order, text };
  }

  /** The next funnels from the seed on that have no contradictions. */
  function scenarioOf(seed: number): { scenario: Scenario; order: SimulationOrder } {
    const dice = new Dice(seed * 7919);
    for (;;) {
      const scenario = randomScenario(dice);
      const files = scenario.funnels.map((text, index) => ({ name: `funnel ${index + 1}`, text }));
      try {
        const [first, second] = files;
        if (!first || !second) throw new Error('two funnels were expected');
        const wishes = {
          start: new Date(scenario.start),
          days: scenario.days,
          now: new Date(scenario.start),
        };
        const personas = { name: 'personas', text: scenario.personas };
        const { definitions, ...order } = simulationFromFiles([first, second], personas, wishes);
        const [main, side] = definitions;
        if (!side) throw new Error('two funnels were expected');
        // Sequences that one trigger begins do so in the order in which they were applied: the side one first.
        simulatePeople({ definitions, ...order });
        return { scenario, order: { definitions: [main, side], ...order } };
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
      }
    }
  }
});

function accountOfSimulation(
  { timeline, record }: SimulatedPerson,
  { start, days }: SimulationOrder,
): Account {
  const told = <W extends TimelineEntry['what']>(what: W): Extract<TimelineEntry, { what: W }>[] =>
    timeline.filter((entry): entry is Extract<TimelineEntry, { what: W }> => entry.what === what);
  const until = new Date(start.getTime() + days * 86_400_000);
  const sequenceOf = new Map(record.enrollments.map(({ id, sequence }) => [id, sequence]));
  return {
    mails: told('mail')
      .map(({ at, kind, sequence = '', step = '' }) => `${at} ${kind} ${sequence} ${step}`)
      .toSorted(),
    notSent: told('cancelled')
      .map(({ sequence = '', step, reason }) => `${sequence} ${step}: ${reason}`)
      .toSorted(),
    steps: told('step')
      .map(({ at, sequence, step, outcome }) => `${at} ${sequence} ${step}: ${outcome}`)
      .toSorted(),
    places: record.enrollments.map(
      ({ sequence, status, exitReason, stepKey, nextAt, startedAt, endedAt }) =>
        `${sequence} from ${text(startedAt)} ${status} ${exitReason ?? ''} at ${stepKey ?? ''} ${text(nextAt)} to ${text(endedAt)}`,
    ),
    waits: lastWaits(timeline).toSorted(),
    offers: record.grants
      .map(
        ({ enrollmentId, offer, expiresAt, at }) =>
          `${text(at)} ${sequenceOf.get(enrollmentId)} ${offer} ${text(expiresAt)}`,
      )
      .toSorted(),
    orders: told('bought')
      .filter(({ at }) => at < until.toISOString())
      .map(({ at, offer, total }) => `${at} ${offer} ${moneyToText(total)}`)
      .toSorted(),
    upsells: record.orders
      .flatMap(({ upsells }) => upsells)
      .map(({ slug, kind, answer }) => `${kind} ${slug}: ${answer ?? '-'}`)
      .toSorted(),
    commissions: told('commission')
      .map(({ at, affiliate, amount, dueAt }) => `${at} ${affiliate} ${moneyToText(amount)} due ${dueAt}`)
      .toSorted(),
    tags: [...record.tags].toSorted(),
    fields: record.fields,
  };
}

/** A wait that something else at the same moment has ended is seen by nobody who looks from outside. */
function lastWaits(timeline: readonly TimelineEntry[]): string[] {
  const last = new Map<string, string>();
  for (const entry of timeline) {
    if (entry.what === 'waits')
      last.set(`${entry.at} ${entry.sequence} ${entry.occurrence}`, `${entry.step} until ${entry.until}`);
    if (entry.what !== 'exited' && entry.what !== 'completed') continue;
    for (const when of last.keys()) if (when.startsWith(`${entry.at} ${entry.sequence} `)) last.delete(when);
  }
  return [...last].map(([when, wait]) => `${when} ${wait}`);
}

async function accountOfRun(test: TestApp, replay: Replay, person: SimulatedPerson): Promise<Account> {
  const id = replay.idOf(person.persona, person.number);
  const rows = async <R>(sql: string): Promise<R[]> => test.dataSource.query(sql, [id]);
  const mails = await rows<{
    at: Date | null;
    kind: string;
    sequence: string;
    step: string | null;
    state: string;
    reason: string;
  }>(
    `select accepted_at as at, kind, case when kind = 'sequence' then funnel_key else '' end as sequence,
       coalesce(step_key, (select key from broadcast b where b.id = broadcast_id)) as step, state,
       state_reason as reason from message where subscriber_id = $1 and kind <> 'notice'`,
  );
  const steps = await rows<{ at: Date; sequence: string; step: string; outcome: string }>(
    `select s.at, q.key as sequence, s.step_key as step, s.outcome from enrollment_step s
     join enrollment e on e.id = s.enrollment_id join sequence q on q.id = e.sequence_id where e.subscriber_id = $1`,
  );
  const places = await rows<{
    sequence: string;
    status: string;
    reason: string | null;
    step: string | null;
    next: Date | null;
    began: Date;
    ended: Date | null;
  }>(
    `select q.key as sequence, e.status, e.exit_reason as reason, e.step_key as step, e.next_at as next, e.started_at as began,
       e.ended_at as ended from enrollment e join sequence q on q.id = e.sequence_id where e.subscriber_id = $1 order by e.id`,
  );
  const offers = await rows<{ at: Date; sequence: string; offer: string; expires: Date | null }>(
    `select o.created_at as at, q.key as sequence, o.offer_slug as offer, o.expires_at as expires from enrollment_offer o
     join enrollment e on e.id = o.enrollment_id join sequence q on q.id = e.sequence_id where o.subscriber_id = $1`,
  );
  const orders = await rows<{ at: Date; offer: string; amountMinor: number; currency: string }>(
    `select o.paid_at as at, f.slug as offer, o.amount_minor::int as "amountMinor", o.currency from orders o
     join offer f on f.id = o.offer_id where o.subscriber_id = $1`,
  );
  const upsells = await rows<{ offer: string; kind: string; answer: string | null }>(
    `select f.slug as offer, u.kind, u.answer from upsell u join offer f on f.id = u.offer_id join orders o on o.id = u.order_id
     where o.subscriber_id = $1`,
  );
  const commissions = await rows<{
    at: Date;
    code: string;
    amountMinor: number;
    currency: string;
    dueAt: Date;
  }>(
    `select c.created_at as at, a.code, sum(c.amount_minor)::int as "amountMinor", c.currency, c.due_at as "dueAt" from commission c
     join affiliate a on a.id = c.affiliate_id join orders o on o.id = c.order_id where o.subscriber_id = $1
     group by c.order_id, c.created_at, a.code, c.currency, c.due_at`,
  );
  const [own] = await rows<{ tags: string[]; fields: Record<string, unknown> }>(
    `select fields, array(select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = s.id) as tags
     from subscriber s where id = $1`,
  );
  const sent = mails.filter(({ state }) => state === 'accepted');
  return {
    mails: sent
      .map(({ at, kind, sequence, step }) => `${text(at)} ${kind} ${sequence} ${step ?? ''}`)
      .toSorted(),
    notSent: mails
      .filter(({ state }) => state !== 'accepted' && state !== 'ready')
      .map(({ sequence, step, reason }) => `${sequence} ${step ?? ''}: ${reason}`)
      .toSorted(),
    steps: steps
      .map(({ at, sequence, step, outcome }) => `${text(at)} ${sequence} ${step}: ${outcome}`)
      .toSorted(),
    places: places.map(
      ({ sequence, status, reason, step, next, began, ended }) =>
        `${sequence} from ${text(began)} ${status} ${reason ?? ''} at ${step ?? ''} ${text(next)} to ${text(ended)}`,
    ),
    waits: (replay.waits.get(id) ?? []).toSorted(),
    offers: offers
      .map(({ at, sequence, offer, expires }) => `${text(at)} ${sequence} ${offer} ${text(expires)}`)
      .toSorted(),
    orders: orders.map(({ at, offer, ...total }) => `${text(at)} ${offer} ${moneyToText(total)}`).toSorted(),
    upsells: upsells.map(({ offer, kind, answer }) => `${kind} ${offer}: ${answer ?? '-'}`).toSorted(),
    commissions: commissions
      .map(
        ({ at, code, dueAt, ...amount }) => `${text(at)} ${code} ${moneyToText(amount)} due ${text(dueAt)}`,
      )
      .toSorted(),
    tags: (own?.tags ?? []).toSorted(),
    fields: own?.fields ?? {},
  };
}

function text(at: Date | null): string {
  return at === null ? '-' : at.toISOString();
}

async function clear(test: TestApp): Promise<void> {
  await test.dataSource.query(
    'truncate message, subscriber, subscriber_tag, consent_event, sequence, funnel, form, product, orders, tag, webhook_delivery, sequence_signal, tracking_event, suppression, experiment, affiliate, broadcast cascade',
  );
}
