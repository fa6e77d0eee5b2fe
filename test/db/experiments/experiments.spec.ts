import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { assign } from '../../../src/experiments/assign.js';
import { simulatePeople } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import { funnelText } from '../sequences/course.js';
import { openSplitCourse, SUBJECTS, type SplitCourse } from './split-course.js';
import { ownerPages } from '../../support/owner-pages.js';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a split test in a sequence', () => {
  let t: SplitCourse;
  beforeAll(async () => {
    t = await openSplitCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  /** The mails left, and so many of an arm's readers clicked at once. */
  const act = async (clicks: Record<string, number>): Promise<void> => {
    await t.db.query(`update message set state = 'accepted', accepted_at = $1`, [t.clock.now()]);
    for (const [arm, count] of Object.entries(clicks))
      await t.db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
         select 'click', m.id, 'human', 'test', 1, $3 from experiment_assignment a
         join message m on m.enrollment_id = a.enrollment_id where a.arm = $1 order by a.subscriber_id limit $2`,
        [arm, count, t.clock.now()],
      );
  };

  it('gives each person one arm, each arm its mail, and whoever is held out nothing', async () => {
    await t.publish(`${t.step(`judge: clicks, holdout: 20%, ${SUBJECTS}`)}
- { key: ran, if: { step: pitch, was: skipped }, then: [{ key: out, tag: out }] }`);
    const people = await t.join(200);
    const counts = await t.arms();
    expect(counts['holdout']).toBeGreaterThan(20);
    const named = {
      test: 'course/pitch',
      arms: [
        { key: 'a', weight: 1 },
        { key: 'b', weight: 1 },
      ],
      holdoutBps: 2_000,
    };
    for (const id of people.slice(0, 20)) expect(await t.armOf(id)).toBe(assign(named, [0.5, 0.5], id));
    const mails: { arm: string; subject: string; mails: number }[] = await t.db.query(
      `select a.arm, e.subject, count(*)::int as mails from message m join experiment_assignment a on a.enrollment_id = m.enrollment_id
       join email_template e on e.id = m.email_template_id group by 1, 2 order by 1`,
    );
    expect(mails).toEqual([
      { arm: 'a', subject: expect.not.stringContaining('another'), mails: counts['a'] },
      { arm: 'b', subject: '{{ subscriber.firstName }}, another', mails: counts['b'] },
    ]);
    const out = people[await firstOf(people, 'holdout')] ?? '';
    expect(await t.outcomes(out)).toMatchObject({ pitch: 'holdout', ran: 'then' });
    const why = await t.get(`/api/v1/messages/explain?subscriberId=${out}&funnel=course&step=pitch`);
    expect(JSON.stringify(why.body)).toContain('HELD_OUT');
  });

  const firstOf = async (people: string[], arm: string): Promise<number> => {
    for (const [index, id] of people.entries()) if ((await t.armOf(id)) === arm) return index;
    throw new Error(`nobody got ${arm}`);
  };

  it('sends each arm at its own time, and the offer it names', async () => {
    await t.publish(
      t.step(
        'judge: clicks, arms: [{ key: soon }, { key: late, delay: 3 days, at: "18:00", offer: course-kit, deadline: 2 days }]',
        ', delay: 1 hour',
      ),
    );
    const people = await t.join(12);
    expect(await t.db.query('select 1 from message')).toEqual([]);
    const [soon, late] = [
      people[await firstOf(people, 'soon')] ?? '',
      people[await firstOf(people, 'late')] ?? '',
    ];
    expect(await t.place(soon)).toMatchObject({ step: 'pitch', nextAt: new Date('2026-01-05T10:00:00Z') });
    expect(await t.place(late)).toMatchObject({ step: 'pitch', nextAt: new Date('2026-01-08T18:00:00Z') });
    // A change that makes waiting steps look again must not hurry it.
    const tagged = await t.post(`/api/v1/subscribers/${late}/tags`, { name: 'vip' });
    expect(tagged.status).toBe(200);
    await t.at('2026-01-05T10:00:00Z');
    expect([await t.mails(soon), await t.mails(late)]).toEqual([['pitch'], []]);
    await t.at('2026-01-08T17:59:59Z');
    expect(await t.mails(late)).toEqual([]);
    await t.at('2026-01-08T18:00:00Z');
    expect(await t.mails(late)).toEqual(['pitch']);
    expect(
      await t.db.query(
        'select subscriber_id as id, expires_at as until from enrollment_offer where subscriber_id = $1',
        [late],
      ),
    ).toEqual([{ id: late, until: new Date('2026-01-10T18:00:00Z') }]);
    expect(await t.db.query('select 1 from enrollment_offer where subscriber_id = $1', [soon])).toEqual([]);
  });

  it('keeps people in their arm when they come again, and through edits of the test', async () => {
    const test = (more: string): string => t.step(`judge: clicks, ${more}`);
    await t.publish(test(SUBJECTS), 'reentry: always');
    const people = await t.join(30);
    const before = await Promise.all(people.map(async (id) => t.armOf(id)));
    const edited = 'alpha: 0.1, arms: [{ key: a, weight: 9 }, { key: b, subject: Words, weight: 1 }]';
    await t.publish(test(edited), 'reentry: always');
    t.clock.advance(86_400_000);
    for (const id of people) await t.enroll(id);
    await t.run();
    expect(await Promise.all(people.map(async (id) => t.armOf(id)))).toEqual(before);
    const rows: { carried: boolean; people: number }[] = await t.db.query(
      'select carried, count(*)::int as people from experiment_assignment group by 1 order by 1',
    );
    expect(rows).toEqual([
      { carried: false, people: 30 },
      { carried: true, people: 30 },
    ]);
    // They were drawn by other shares, and do not count in the new test.
    expect(((await t.shown())['arms'] as { people: number }[]).map((arm) => arm.people)).toEqual([0, 0]);
  });

  it('names a winner once, gives it to everybody new, and says why', async () => {
    await t.publish(t.step(`judge: clicks, within: 24 hours, ${SUBJECTS}`));
    await t.join(600);
    await act({ a: 9, b: 60 });
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ state: 'running', arms: [{ counted: 0 }, { counted: 0 }] });
    t.clock.advance(86_400_000);
    await t.decideNow();
    const decided = await t.shown();
    expect(decided).toMatchObject({
      judge: 'clicks',
      state: 'decided',
      decision: {
        kind: 'winner',
        arm: 'b',
        decidedAt: '2026-01-06T09:00:00.000Z',
        text: '“b” brings more clicks per person than the other arm. Everybody who comes from here on gets “b”.',
      },
      sampleRatio: { mismatch: false },
      eValueNeeded: 40,
    });
    const [a, b] = decided['arms'] as {
      counted: number;
      acted: number;
      lift: { low: number };
      pValue: number;
    }[];
    expect((a?.counted ?? 0) + (b?.counted ?? 0)).toBe(600);
    expect(b?.acted).toBe(60);
    expect(b?.lift.low).toBeGreaterThan(1);
    expect(b?.pValue).toBeLessThan(0.05);
    const { cookie } = await ownerPages(t.test);
    const page = await t.test.http.get('/admin/experiments').set('Cookie', cookie).expect(200);
    expect(page.text).toContain('pitch of course');
    expect(page.text).toContain('“b” brings more clicks per person');
    expect(page.text).toContain('everybody new gets it');
    // It was headed “p”, which says nothing to whoever is no statistician.
    expect(page.text).toMatch(/>By chance<[^]*“By chance” is how likely/);
    expect(page.text).not.toMatch(/>p<|data-label="p"/);
    const before = await t.arms();
    const late = await t.join(40, 5_001);
    expect(await t.arms()).toEqual(before);
    const subjects: unknown[] = await t.db.query(
      `select distinct e.subject from message m join email_template e on e.id = m.email_template_id where m.subscriber_id = any($1::bigint[])`,
      [late],
    );
    expect(subjects).toEqual([{ subject: '{{ subscriber.firstName }}, another' }]);
    t.clock.advance(86_400_000);
    await t.decideNow();
    expect((await t.shown())['decision']).toEqual(decided['decision']);
    const alerts = async (): Promise<unknown[]> =>
      t.db.query('select message from alert where resolved_at is null');
    expect(await alerts()).toEqual([
      { message: expect.stringContaining('Split test pitch of course: “b” brings more') },
    ]);
    // It is news, and not for ever.
    t.clock.advance(6 * 86_400_000);
    await t.decideNow();
    expect(await alerts()).toEqual([]);
  });

  it('ends without a winner when its time is up, with the control for everybody', async () => {
    await t.publish(t.step(`judge: clicks, within: 24 hours, horizon: 10 days, ${SUBJECTS}`));
    await t.join(200);
    await act({ a: 10, b: 11 });
    await t.at('2026-01-15T08:00:00Z');
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ state: 'running' });
    await t.at('2026-01-15T12:00:01Z');
    await t.decideNow();
    expect(await t.shown()).toMatchObject({
      decision: {
        kind: 'no_winner',
        arm: 'a',
        because: 'horizon',
        text: expect.stringContaining('no arm is shown to be better'),
      },
    });
  });

  it('judges by money: each person’s orders in the funnel up to the cap, without refunds', async () => {
    await t.publish(t.step(`judge: revenue, within: 48 hours, holdout: 10%, ${SUBJECTS}`));
    const people = await t.join(400);
    await act({});
    const buyers = [people[await firstOf(people, 'b')] ?? '', people[await firstOf(people, 'holdout')] ?? ''];
    const buy = async (id: string, amount: number, hours: number, funnel = 'course'): Promise<void> => {
      await t.db.query(
        `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, amount_minor, currency, at)
         values ('order', $1, $2, $3, $4, 'EUR', $5)`,
        [
          funnel,
          `order:${id}:${hours}:${funnel}`,
          id,
          amount,
          new Date(t.clock.now().getTime() + hours * 3_600_000),
        ],
      );
    };
    await buy(buyers[0] ?? '', 3_430, 1);
    await buy(buyers[0] ?? '', 9_900, 2);
    await buy(buyers[0] ?? '', 1_000, 3, 'other');
    await buy(buyers[1] ?? '', 3_430, 1);
    await buy(people[await firstOf(people, 'a')] ?? '', 3_430, 49);
    const refunded = people.findLast((id) => !buyers.includes(id)) ?? '';
    await buy(refunded, 3_430, 1);
    await t.db.query(
      `with o as (
         insert into orders (number, funnel_key, offer_id, email, status, amount_minor, currency, provider, created_at)
         select 'R-1', 'course', id, 'refunded@example.com', 'refunded', 3430, 'EUR', 'test', $2 from offer where slug = 'course-kit'
         returning id)
       update conversion set order_id = o.id from o where subscriber_id = $1`,
      [refunded, t.clock.now()],
    );
    t.clock.advance(72 * 3_600_000);
    const { cap, arms: found, holdoutGroup } = await t.shown();
    expect(cap).toEqual({ amountMinor: 4900, currency: 'EUR' });
    expect(found).toMatchObject([
      { key: 'a', acted: 0, total: 0 },
      { key: 'b', acted: 1, total: 4900 },
    ]);
    expect(holdoutGroup).toMatchObject({ acted: 1, total: 3430, reached: 0 });
  });

  it('optimises itself when it is told to, and stops an arm that makes people leave', async () => {
    await t.publish(t.step(`judge: clicks, within: 24 hours, optimise: thompson, explore: 20%, ${SUBJECTS}`));
    await t.join(600);
    await act({ a: 10, b: 20 });
    t.clock.advance(86_400_000);
    await t.decideNow();
    const shares = async (): Promise<number[]> =>
      ((await t.shown())['arms'] as { share: number }[]).map(({ share }) => share);
    const [a = 0, b = 0] = await shares();
    expect(b).toBeGreaterThan(0.6);
    expect(a).toBeGreaterThanOrEqual(0.1);
    await t.join(300, 5_001);
    const rows: { people: number }[] = await t.db.query(
      `select count(*)::int as people from experiment_assignment where period = 1 and arm = 'b'`,
    );
    expect(Math.abs((rows[0]?.people ?? 0) / 300 - b)).toBeLessThan(0.1);
    await t.db.query(
      `insert into consent_event (subscriber_id, kind, purpose, at)
       select subscriber_id, 'withdrawn', 'marketing', assigned_at from experiment_assignment where arm = 'b' and subscriber_id % 10 = 0`,
    );
    await t.decideNow();
    expect(await t.shown()).toMatchObject({
      arms: [{ key: 'a' }, { key: 'b', isStopped: true }],
      decision: { kind: 'no_winner', arm: 'a', because: 'guard_rails' },
    });
    expect(JSON.stringify(await t.db.query('select message from alert'))).toContain(
      'the arm “b” was stopped',
    );
  });

  it('believes no result when an arm has lost its people, and warns', async () => {
    await t.publish(t.step(`judge: clicks, within: 24 hours, ${SUBJECTS}`));
    await t.join(1_000);
    await act({ a: 15, b: 100 });
    await t.db.query(
      `update message m set state = 'rejected' from experiment_assignment a
       where a.enrollment_id = m.enrollment_id and a.arm = 'b' and a.subscriber_id % 3 = 0`,
    );
    t.clock.advance(86_400_000);
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ state: 'running', sampleRatio: { mismatch: true } });
    expect(JSON.stringify(await t.db.query('select message from alert'))).toContain('no winner is named');
  });

  it('refuses a subject that cannot be sent, and answers for tests that are there only', async () => {
    const bad = t.step(
      'judge: clicks, arms: [{ key: a }, { key: b, subject: "Hi {{ subscriber.nickname }}" }]',
    );
    await expect(t.publish(bad)).rejects.toThrow(
      /course\.yaml:\d+: sequence\.steps\.0\.split\.arms\.1\.subject: it prints \{\{ subscriber\.nickname \}\}/,
    );
    await expect(t.publish(bad.replace('{{ subscriber.nickname }}', '{{ subscriber.name'))).rejects.toThrow(
      'subject',
    );
    expect((await t.get('/api/v1/experiments/999999')).status).toBe(404);
  });

  it('is asked for by branches and segments: who is on which arm, as the simulation has it, also when it is over', async () => {
    const cases = (key: string, test: string, ...arms: string[]): string =>
      `- { key: ${key}, switch: [${arms.map((arm) => `{ if: { split: ${test}, arm: ${arm} }, then: [{ key: ${key}-${arm}, tag: x }] }`).join(', ')}] }`;
    const ask = (turn: string): string =>
      `${cases(`mail-${turn}`, 'pitch', 'a', 'b', 'holdout')}\n${cases(`path-${turn}`, 'fork', 'short', 'long', 'holdout')}`;
    const course = [
      t.step(`judge: clicks, holdout: 20%, ${SUBJECTS}`),
      `- { key: fork, split: { judge: revenue, holdout: 20%, arms: [{ key: short, steps: [] }, { key: long, steps: [{ key: on, tag: y }] }] } }`,
      ask('now'),
      '- { key: pause, wait: 1 hour }',
      ask('later'),
    ].join('\n');
    await t.publish(course);
    const people = await t.join(40);
    await t.at('2026-01-05T10:00:00Z');
    const drawn: { id: string; step: string; arm: string }[] = await t.db.query(
      `select a.subscriber_id as id, x.step_key as step, a.arm from experiment_assignment a join experiment x on x.id = a.experiment_id`,
    );
    const place = (id: string, step: string, arms: string[]): string =>
      `case ${arms.indexOf(drawn.find((one) => one.id === id && one.step === step)?.arm ?? '') + 1}`;
    const wishes = { start: null, days: 2, now: t.clock.now() };
    const order = simulationFromFiles(
      [{ name: 'course', text: funnelText(course) }],
      { name: 'people', text: 'personas: [{ name: reader, count: 40 }]' },
      wishes,
    );
    const simulated = simulatePeople({ ...order, personId: (_, number) => people[number - 1] ?? '' });
    const seen = new Set<string>();
    for (const [index, id] of people.entries()) {
      const [mail, path] = [
        place(id, 'pitch', ['a', 'b', 'holdout']),
        place(id, 'fork', ['short', 'long', 'holdout']),
      ];
      const outcomes = await t.outcomes(id);
      expect(outcomes).toMatchObject({
        'mail-now': mail,
        'mail-later': mail,
        'path-now': path,
        'path-later': path,
      });
      expect(Object.fromEntries(simulated[index]?.record.outcomes.get('1') ?? [])).toEqual(outcomes);
      for (const one of [`mail ${mail}`, `path ${path}`]) seen.add(one);
    }
    expect(seen.size).toBe(6);

    const tests = (await t.get('/api/v1/experiments')).body['data'] as unknown as {
      id: string;
      stepKey: string;
    }[];
    const pitch = tests.find(({ stepKey }) => stepKey === 'pitch')?.id ?? '';
    await t.post(`/api/v1/experiments/${pitch}/stop`, { arm: 'b' });
    const [late = ''] = await t.join(1, 101);
    t.clock.advance(3_600_000);
    await t.run();
    expect(await t.outcomes(late)).toMatchObject({ 'mail-now': 'case 2', 'mail-later': 'case 2' });

    const segment = async (key: string, split: object) =>
      t.post('/api/v1/segments', {
        key,
        title: key,
        conditions: { all: [{ status: ['active'] }, { split }] },
      });
    const made = await segment('on-b', { funnel: 'course', step: 'pitch', arm: 'b' });
    const counted = await t.get(`/api/v1/segments/${String(made.body['id'])}/count`);
    const onB = drawn.filter(({ step, arm }) => step === 'pitch' && arm === 'b').length;
    expect(counted.body).toEqual({ count: onB });
    for (const [split, message] of [
      [
        { funnel: 'course', step: 'pitch', arm: 'c' },
        'conditions.all.1: there is no arm "c of course/pitch"',
      ],
      [
        { funnel: 'course', step: 'hello', arm: 'a' },
        'conditions.all.1: there is no split test "course/hello"',
      ],
      [{ broadcast: '99', arm: 'a' }, 'conditions.all.1: there is no broadcast "99"'],
    ] as const) {
      const refused = await segment('wrong', split);
      expect([refused.status, refused.body['detail']]).toEqual([422, message]);
    }
  });
});
