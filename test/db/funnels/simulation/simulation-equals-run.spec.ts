import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { BroadcastsService } from '../../../../src/broadcasts/broadcasts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { DomainError } from '../../../../src/values/domain-error.js';
import { simulatePeople, type SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles, type NamedText } from '../../../../src/funnels/simulation/simulation-files.js';
import type { BroadcastOutcome } from '../../../../src/funnels/simulation/timeline.js';
import { importOptions } from '../../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../../src/imports/imports.service.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { Dice } from '../../../support/dice.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { accountOfRun, accountOfSimulation, type Account } from './accounts.js';
import { clear, courseText, expectSame, OWNER_ZONE } from './both-worlds.js';
import { randomScenario, type Scenario } from './random-funnels.js';
import { Replay } from './replay.js';

/** More of them: `SIMULATIONS=200 SIMULATIONS_FROM=1000 npx vitest run …`. */
const RUNS = Number(process.env['SIMULATIONS'] ?? 3);
/** A scenario is a hundred moments and more, each with its jobs. */
const TIMEOUT_MS = 120_000;
const FROM = Number(process.env['SIMULATIONS_FROM'] ?? 1);

describe('a simulation', { timeout: TIMEOUT_MS }, () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ variables: { DEMO: 'false', TIME_ZONE: OWNER_ZONE } });
    // Each scenario has a date of its own: jumping there is no outage.
    await test.app.get(OverdueService, { strict: false }).setSettings({ policy: 'send', afterHours: 24 });
  });
  afterAll(async () => test?.close());

  it.each(Array.from({ length: RUNS }, (_, index) => FROM + index))(
    'is what a real run of the same funnels does, mail by mail (%i)',
    async (seed) => {
      const { scenario, order } = scenarioOf(seed);
      try {
        const broadcasts = await expectSame(test, order, scenario.funnels);
        expect(broadcasts).toHaveLength(order.personas.broadcasts.length);
      } finally {
        await clear(test);
      }
    },
  );

  /** Of a funnel with a shop, its readers, and broadcasts to them. */
  const broadcastsOfBoth = async (personas: string): Promise<BroadcastOutcome[]> => {
    const files: [NamedText] = [{ name: 'shop', text: shopScenario().text }];
    const wishes = { start: null, days: null, now: new Date('2026-03-27T09:00:00Z') };
    const order = simulationFromFiles(files, { name: 'personas', text: personas }, wishes);
    try {
      return await expectSame(test, order, [files[0].text]);
    } finally {
      await clear(test);
    }
  };

  it('and a real run agree on a broadcast’s winner, on clocks that change, and on who gets it once more', async () => {
    const personas = `start: 2026-03-27T09:00:00Z
days: 9
segments: { clickers: { clicked: { broadcast: news } } }
broadcasts:
- key: news
  email: emails/story
  subject: News
  atLocal: "2026-03-29T02:30"
  split: { arms: [{}, { subject: Better }], testPercent: 60, waitMinutes: 240, judge: clicks }
- { key: again, email: emails/story, subject: Again, resendOf: news, at: 2026-04-01T09:00:00Z, unless: clicked }
- { key: last, email: emails/story, at: 2026-04-03T09:00:00Z, segments: { none: [clickers] } }
personas:
- name: reader
  count: 48
  timeZone: [Europe/Berlin, America/New_York, Antarctica/Troll, Australia/Lord_Howe]
  does: [{ clicks: broadcast news, arm: b, after: 9 minutes }]`;
    const [simulated] = await broadcastsOfBoth(personas);
    expect(simulated?.decision).toMatchObject({ verdict: 'winner', arm: 'b' });
  });

  it('and a real run agree on hours, a holdout and an arm that is stopped', async () => {
    const personas = `start: 2026-03-27T09:00:00Z
days: 6
broadcasts:
- { key: hours, email: emails/story, subject: Hours, atLocal: "2026-03-29T02:30", split: { arms: [{}, { at: "20:00" }],
    testPercent: 60, holdout: 20%, waitMinutes: 240, judge: clicks, alpha: 0.2 } }
- { key: rails, email: emails/story, subject: Rails, at: 2026-03-31T09:00:00Z, spreadMinutes: 120, split: {
    arms: [{}, { subject: Better }, { subject: Worse }], testPercent: 90, waitMinutes: 60, judge: clicks,
    guardRails: { unsubscribes: 2% } } }
personas:
- name: reader
  count: 60
  timeZone: [Europe/Berlin, America/New_York, Antarctica/Troll, Australia/Lord_Howe]
  does:
  - { clicks: broadcast hours, arm: b, after: 9 minutes }
  - { unsubscribes: true, afterMail: broadcast rails, arm: c, after: 1 minute }`;
    const [hours, rails] = await broadcastsOfBoth(personas);
    expect(hours?.decision).toMatchObject({ verdict: 'winner', arm: 'b' });
    expect(rails).toMatchObject({ stoppedArms: ['c'], decision: { arm: 'a' } });
  });

  it('and a real run whose workers come seconds late have the same minute for every step with an hour', async () => {
    const main = courseText('main', [
      { key: 'one', email: 'emails/story', delay: '1 day', at: '09:30' },
      { key: 'told', tag: 'told' },
      { key: 'two', email: 'emails/story', at: '09:30' },
      { key: 'three', email: 'emails/story', delay: '24 hours', at: '09:30' },
      { key: 'gone', email: 'emails/story', delay: '1 week', expires: '2026-03-05' },
      {
        ...{ key: 'four', email: 'emails/story' },
        split: {
          judge: 'clicks',
          arms: [
            { key: 'a', at: '09:30' },
            { key: 'b', delay: '24 hours', at: '09:30' },
          ],
        },
      },
    ]);
    const side = courseText('side', [{ key: 'first', email: 'emails/story', at: '09:30' }], {
      enterOn: [{ tag: 'told' }],
    });
    const start = new Date('2026-03-02T09:00:00Z');
    const files: [NamedText, NamedText] = [
      { name: 'main', text: main },
      { name: 'side', text: side },
    ];
    const personas =
      'personas: [{ name: reader, count: 3, timeZone: [UTC, Asia/Kolkata, America/New_York] }]';
    const wishes = { start, days: 9, now: start };
    const order = simulationFromFiles(files, { name: 'personas', text: personas }, wishes);
    const replay = new Replay(test, order, 3_000);
    try {
      await replay.enterAll();
      const people = simulatePeople({ ...order, personId: (name, number) => replay.idOf(name, number) });
      await replay.run([main, side], people);
      const byMinute = ({ mails, steps }: Pick<Account, 'mails' | 'steps'>): string[] =>
        [...mails, ...steps].map((line) => `${line.slice(0, 16)} ${line.slice(25)}`);
      for (const person of people) {
        const simulated = byMinute(accountOfSimulation(person, order));
        expect(byMinute(await accountOfRun(test, replay, person))).toEqual(simulated);
        expect(simulated).toHaveLength(7);
      }
    } finally {
      await clear(test);
    }
  });

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
    // Imported people who are in the sequence get its mails; that they came is no reason to expect as many again.
    for (const id of await imported(20))
      await test.dataSource.transaction(async (manager) =>
        test.app.get(EnrollmentsService, { strict: false }).enroll(manager, {
          ...{ sequenceKey: 'shop', subscriberId: id, data: {} },
        }),
      );
    const seen = await forecast('?days=10');
    expect(seen).toMatchObject({
      people: 20,
      band: 80,
      basis: { mails: 78, purchases: 8, left: 2, upsellsShown: 8, upsellsTaken: 4, days: 365 },
    });
    expect(seen['leavesOut']).toContainEqual({
      what: 'imports to come',
      why: expect.stringContaining('the people it brought count as soon as they are in a sequence'),
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
    // 20 people, 38 of 40 of whom get to the offer, where 8 of 38 buy, a quarter of them for 9.00 EUR more, and half of
    // them for another 20.00 EUR on the page that follows.
    const middle = 20 * (38 / 40) * (8 / 38) * (3430 + 900 / 4 + 2000 / 2);
    expect(Math.abs((income?.expected.amountMinor ?? 0) / middle - 1)).toBeLessThan(0.12);
    expect(income?.low.amountMinor).toBeLessThan(middle);
    expect(income?.high.amountMinor).toBeGreaterThan(middle);
    const wider = (await forecast('?days=10&band=95'))['income'] as { high: { amountMinor: number } }[];
    expect(wider[0]?.high.amountMinor).toBeGreaterThan(income?.high.amountMinor ?? 0);
    for (const query of ['?days=0', '?days=91', '?band=49', '?years=1'])
      await test.http.get(`/api/v1/forecast${query}`).set('Authorization', `Bearer ${API_KEY}`).expect(422);
    expect((await test.http.get('/admin/forecast')).headers['location']).toMatch(/^\/admin\/(setup|login)/);
    const { cookie } = await ownerPages(test);
    const page = await test.http.get('/admin/forecast').set('Cookie', cookie).expect(200);
    expect(page.text).toMatch(/<title>2026-03-30: 2\d \(20 to \d+\), \d of them to newcomers<\/title>/);
    expect(page.text).toMatch(
      /people are expected to sign up[\s\S]*as the 40 who confirmed in the last 28 days/,
    );
    expect(page.text).toContain(
      'Measured in the last 365 days: 78 mails, 8 purchases, 4 of 8 offers after an order taken, 2 left.',
    );
    await spreadNews();
    const { waiting } = (await forecast('?days=10')) as { waiting: { date: string; mails: number }[] };
    expect(waiting.map(({ date }) => date)).toEqual(['2026-03-30', '2026-03-31', '2026-04-01']);
    // 20 imported, and 38 who have not left.
    expect(waiting.reduce((sum, { mails: count }) => sum + count, 0)).toBe(58);
    expect(page.text).toMatch(/What is not in it[\s\S]*<li>Imports to come: an import is done once/);
  }

  async function spreadNews(): Promise<void> {
    const broadcasts = test.app.get(BroadcastsService, { strict: false });
    const { id } = await broadcasts.create({
      ...{
        title: 'News',
        template: 'emails/story',
        audience: { everybody: true },
        topic: null,
        expiresAt: null,
      },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
    });
    await broadcasts.start(id, null, { local: null, spreadMinutes: 2 * 24 * 60 });
    await test.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
  }

  async function imported(count: number): Promise<string[]> {
    const imports = test.app.get(ImportsService, { strict: false });
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-forecast-'));
    const path = join(folder, 'people.csv');
    const emails = Array.from({ length: count }, (_, person) => `new-${person}@example.com`);
    await writeFile(path, ['email', ...emails].join('\n'));
    const options = importOptions.parse({ status: 'active', consentText: 'Send me tips' });
    const { id } = await imports.create({ fileName: 'people.csv', dryRun: false, options });
    await imports.takeFile(id, path);
    await imports.run(id);
    await rm(folder, { recursive: true });
    const rows: { id: string }[] = await test.dataSource.query(
      `select id from subscriber where email like 'new-%' and status = 'active'`,
    );
    return rows.map((row) => row.id);
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
        { key: 'shop-more', name: 'More', price: '20.00 EUR' },
      ],
      offers: [
        { key: 'shop-kit', product: 'shop-kit', discount: '30%', bump: 'shop-list', upsell: 'shop-more' },
        { key: 'shop-more', product: 'shop-more' },
      ],
    });
    const personas = `personas:
  - { name: quiet, count: 30 }
  - { name: leaves, count: 2, does: [{ unsubscribes: true, afterMail: hello, after: 5 hours }] }
  - { name: buys, count: 2, does: [{ buys: shop-kit, afterMail: pitch, after: 5 hours }] }
  - { name: takes, count: 4, does: [{ buys: shop-kit, afterMail: pitch, after: 5 hours, answers: [{ takes: shop-more }] }] }
  - name: buys-more
    count: 2
    does: [{ buys: shop-kit, withBump: true, afterMail: pitch, after: 5 hours, answers: [{ declines: shop-more }] }]`;
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
