import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openSplitCourse, SUBJECTS, type SplitCourse } from './split-course.js';
import { ownerPages } from '../../support/owner-pages.js';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a split test that is stopped by hand, or explained', () => {
  let t: SplitCourse;
  beforeAll(async () => {
    t = await openSplitCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const firstOf = async (people: string[], arm: string): Promise<number> => {
    for (const [index, id] of people.entries()) if ((await t.armOf(id)) === arm) return index;
    throw new Error(`nobody got ${arm}`);
  };

  it('is stopped by the owner, who chooses what goes on, and a mail says which arm it is of and why', async () => {
    const stop = async (
      id: string,
      body: object,
    ): Promise<{ status: number; body: Record<string, unknown> }> =>
      t.post(`/api/v1/experiments/${id}/stop`, body);
    await t.publish(t.step(`judge: clicks, holdout: 10%, ${SUBJECTS}`));
    const people = await t.join(20);
    const explained = async (person: string): Promise<string> =>
      JSON.stringify(
        (await t.get(`/api/v1/messages/explain?subscriberId=${person}&funnel=course&step=pitch`)).body,
      );
    const drawn = people[await firstOf(people, 'a')] ?? '';
    expect(await explained(drawn)).toMatch(
      /SPLIT_TEST_ARM".*arm “a” of the split test “course\/pitch”: a hash .* draws it, for 50.0 % .* 10 % are held out/,
    );
    const id = String((await t.shown())['id']);
    expect(await stop(id, { arm: 'c' })).toMatchObject({
      status: 422,
      body: { code: 'EXPERIMENT_ARM_INVALID' },
    });
    expect((await stop(id, { arm: 'c' })).body['detail']).toContain(
      'arm: there is no arm "c"; there are: a, b',
    );
    for (const body of [{}, { arm: 2 }, { arm: 'a', why: 'so' }])
      expect((await stop(id, body)).status).toBe(422);
    expect(await stop('999999', { arm: 'a' })).toMatchObject({ status: 404 });
    expect(await stop(id, { arm: 'b' })).toMatchObject({
      status: 200,
      body: {
        state: 'decided',
        decision: {
          kind: 'stopped',
          arm: 'b',
          because: null,
          text: expect.stringMatching(/owner .* chosen.* gets “b”/),
        },
      },
    });
    expect(await stop(id, { arm: null })).toMatchObject({
      status: 409,
      body: { code: 'EXPERIMENT_ALREADY_DECIDED' },
    });
    // Everybody new gets it, nobody is drawn or held out any more, and who has an arm keeps it.
    const before = await t.arms();
    const later = await t.join(10, 101);
    expect(await t.arms()).toEqual(before);
    const mails: unknown[] = await t.db.query(
      `select distinct e.subject from message m join email_template e on e.id = m.email_template_id
       where m.subscriber_id = any($1::bigint[])`,
      [later],
    );
    expect(mails).toEqual([{ subject: '{{ subscriber.firstName }}, another' }]);
    expect(await explained(later[0] ?? '')).toMatch(
      /SPLIT_TEST_OVER".*arm “b” .*owner has stopped the test and chosen/,
    );
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ decision: { kind: 'stopped' } });
  });

  it('believes no result of a test of times either when an arm has lost its people; who left before their mail is no loss', async () => {
    await t.publish(
      t.step('judge: clicks, within: 24 hours, arms: [{ key: a, delay: 1 hour }, { key: b, delay: 2 days }]'),
    );
    await t.join(600);
    // A third of those who wait longer leave in the meantime.
    await t.db.query(
      `update enrollment e set status = 'exited', exit_reason = 'unsubscribed' from experiment_assignment a
       where a.enrollment_id = e.id and a.arm = 'b' and a.subscriber_id % 3 = 0`,
    );
    t.clock.advance(2 * 86_400_000);
    await t.run();
    await t.db.query(`update message set state = 'accepted', accepted_at = $1`, [t.clock.now()]);
    t.clock.advance(8 * 86_400_000);
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ sampleRatio: { mismatch: false } });
    const lost = `a.enrollment_id = m.enrollment_id and a.arm = 'b' and a.subscriber_id % 3 > 0`;
    await t.db.query(`update message m set state = 'rejected' from experiment_assignment a where ${lost}`);
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ sampleRatio: { mismatch: true } });
  });

  it('sends nobody an arm that was stopped for harm, also who was drawn for it before', async () => {
    await t.publish(
      t.step(
        'judge: clicks, within: 24 hours, guardRails: { unsubscribes: 1% }, arms: [{ key: a, delay: 1 hour }, { key: b, delay: 2 days, subject: Angry }]',
      ),
    );
    const people = await t.join(200);
    const subjects = async (): Promise<Record<string, number>> => {
      const rows: { subject: string; people: number }[] = await t.db.query(
        `select e.subject, count(*)::int as people from message m join email_template e on e.id = m.email_template_id group by 1`,
      );
      return Object.fromEntries(rows.map(({ subject, people: count }) => [subject, count]));
    };
    const { b = 0 } = await t.arms();
    await t.db.query(
      `insert into consent_event (subscriber_id, kind, purpose, at)
       select subscriber_id, 'withdrawn', 'marketing', assigned_at from experiment_assignment where arm = 'b' and subscriber_id % 4 = 0`,
    );
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ decision: { because: 'guard_rails', arm: 'a' } });
    t.clock.advance(2 * 86_400_000);
    await t.run();
    const sent = await subjects();
    expect([b > 50, sent['Angry'], Object.values(sent)]).toEqual([true, undefined, [people.length]]);
    expect(await t.arms()).toEqual({ a: people.length });
    const counted: unknown[] = await t.db.query('select 1 from experiment_assignment where not carried');
    expect(counted).toHaveLength(people.length - b);
  });

  it('goes on with the control when it is stopped without a winner', async () => {
    await t.publish(t.step(`judge: clicks, ${SUBJECTS}`));
    const answer = await t.post(`/api/v1/experiments/${String((await t.shown())['id'])}/stop`, { arm: null });
    expect(answer.body['decision']).toMatchObject({
      kind: 'stopped',
      arm: 'a',
      text: expect.stringContaining('without a winner'),
    });
  });

  it.each([
    ['subject', 'subject: "Another one"', { subject: 'Another one' }],
    ['content', 'email: emails/deep-dive', { key: 'emails/deep-dive' }],
    ['offer', 'offer: course-kit', { offer: 'course-kit' }],
    ['delay', 'delay: 2 days', { due: '2026-01-07T09:00:00.000Z' }],
    ['hour', 'at: "18:00"', { due: '2026-01-05T18:00:00.000Z' }],
  ])('may compare the %s', async (_, arm, expected) => {
    await t.publish(t.step(`judge: clicks, arms: [{ key: a }, { key: b, ${arm} }]`));
    const people = await t.join(12);
    for (const at of ['2026-01-05T18:00:00Z', '2026-01-07T09:00:00Z']) await t.at(at);
    const other = people[await firstOf(people, 'b')] ?? '';
    const usual = people[await firstOf(people, 'a')] ?? '';
    const mailOf = async (id: string): Promise<Record<string, unknown>> => {
      const rows: (Record<string, unknown> & { created: Date })[] = await t.db.query(
        `select e.subject, e.key, m.data -> 'offer' ->> 'slug' as offer, m.created_at as created from message m
         join email_template e on e.id = m.email_template_id where m.subscriber_id = $1`,
        [id],
      );
      return { ...rows[0], due: rows[0]?.created.toISOString() };
    };
    expect(await mailOf(other)).toMatchObject(expected);
    expect(await mailOf(usual)).not.toMatchObject(expected);
    expect(await mailOf(usual)).toMatchObject({
      key: 'emails/story',
      offer: null,
      due: '2026-01-05T09:00:00.000Z',
    });
  });

  const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
  const PATHS = `arms: [{ key: short, steps: [${mail('s1')}] }, { key: long, steps: [${mail('l1')}, ${mail('l2', ', delay: 1 day')}] }]`;
  const paths = (more: string, arms = PATHS): string =>
    `- ${mail('hello')}\n- { key: fork, split: { ${more}, ${arms} } }\n- ${mail('after', ', delay: 2 days')}`;
  const explain = async (person: string, step: string): Promise<string> =>
    JSON.stringify(
      (await t.get(`/api/v1/messages/explain?subscriberId=${person}&funnel=course&step=${step}`)).body,
    );
  const accept = async (): Promise<unknown> =>
    t.db.query(`update message set state = 'accepted', accepted_at = $1 where state = 'ready'`, [
      t.clock.now(),
    ]);

  it('may be of paths: each person goes down one, all go on behind it, and money counts from the split on', async () => {
    await t.publish(paths('judge: revenue, holdout: 20%, within: 2 days'));
    const people = await t.join(60);
    const counts = await t.arms();
    expect((counts['short'] ?? 0) + (counts['long'] ?? 0) + (counts['holdout'] ?? 0)).toBe(60);
    const [short = '', long = '', out = ''] = await Promise.all(
      ['short', 'long', 'holdout'].map(async (arm) => people[await firstOf(people, arm)] ?? ''),
    );
    expect([await t.mails(short), await t.mails(long), await t.mails(out)]).toEqual([
      ['hello', 's1'],
      ['hello', 'l1'],
      ['hello'],
    ]);
    expect([await t.outcomes(short), await t.outcomes(out)]).toEqual([
      { fork: 'arm short' },
      { fork: 'holdout' },
    ]);
    expect([await t.place(long), await t.place(out)]).toMatchObject([{ step: 'l2' }, { step: 'after' }]);
    const drawn = /SPLIT_TEST_ARM".*arm “long” of the split test “course\/fork”: a hash .* 20 % are held out/;
    for (const step of ['l1', 'l2', 'fork', 's1']) expect(await explain(long, step)).toMatch(drawn);
    expect(await explain(long, 's1')).toMatch(/BRANCH_WENT_OTHER_WAY".*the split test drew “arm long”/);
    expect(await explain(out, 's1')).toMatch(
      /SPLIT_TEST_HELD_OUT".*BRANCH_WENT_OTHER_WAY".*went on behind it/,
    );
    await accept();
    for (const [id, amount, hours] of [
      [long, 3_000, 1],
      [out, 1_000, 2],
      [short, 900, 24 * 30],
    ] as const)
      await t.db.query(
        `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, amount_minor, currency, at)
         values ('order', 'course', 'order:' || $1::bigint, $1, $2, 'EUR', $3)`,
        [id, amount, new Date(t.clock.now().getTime() + hours * 3_600_000)],
      );
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.mails(long)).toEqual(['hello', 'l1', 'l2']);
    await t.at('2026-01-08T09:00:00Z');
    for (const id of [short, long, out]) expect((await t.mails(id)).at(-1)).toBe('after');
    t.clock.advance(86_400_000);
    const shown = await t.shown();
    expect(shown).toMatchObject({
      judge: 'revenue',
      paths: { short: ['s1'], long: ['l1', 'l2'] },
      arms: [
        { key: 'short', counted: counts['short'], reached: counts['short'], acted: 0 },
        { key: 'long', reached: counts['long'], acted: 1, total: 3000 },
      ],
      holdoutGroup: { people: counts['holdout'], reached: 0, acted: 1, total: 1000 },
      sampleRatio: { mismatch: false },
    });
    const report = (await t.get('/api/v1/analytics/funnels/course')).body;
    const steps = (report['steps'] as unknown as { key: string; path: object[] }[]).map(({ key, path }) => [
      key,
      path,
    ]);
    expect(steps).toEqual([
      ['hello', []],
      ['s1', [{ split: 'fork', arm: 'short' }]],
      ['l1', [{ split: 'fork', arm: 'long' }]],
      ['l2', [{ split: 'fork', arm: 'long' }]],
      ['after', []],
    ]);
  });

  it('of paths: who is inside stays on theirs when the owner stops it, and all who come go down the one chosen', async () => {
    await t.publish(paths('judge: revenue, holdout: 20%'));
    const people = await t.join(20);
    const inside = people[await firstOf(people, 'long')] ?? '';
    await t.post(`/api/v1/experiments/${String((await t.shown())['id'])}/stop`, { arm: 'short' });
    const before = await t.arms();
    const later = await t.join(8, 101);
    expect(await t.arms()).toEqual(before);
    for (const id of later) expect(await t.mails(id)).toEqual(['hello', 's1']);
    expect(await explain(later[0] ?? '', 's1')).toMatch(/SPLIT_TEST_OVER".*arm “short” .*owner has stopped/);
    const forecast = (await t.get('/api/v1/forecast?days=4')).body;
    expect(forecast['people']).toBe(28);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.mails(inside)).toEqual(['hello', 'l1', 'l2']);
  });

  it('of paths: those inside go on along theirs when the sequence is edited, with what was added to it', async () => {
    await t.publish(paths('judge: revenue'));
    const people = await t.join(20);
    const { short = 0, long = 0 } = await t.arms();
    const longer = PATHS.replace(/\] \}\]$/, `, ${mail('l3', ', delay: 1 day')}] }]`);
    await t.publish(paths('judge: revenue', longer));
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    const move = async (body: object) => t.post(`/api/v1/sequences/${sequence?.id}/move-people`, body);
    expect((await move({ mode: 'forward-only', dryRun: false })).body).toMatchObject({
      people: 20,
      moves: expect.arrayContaining([
        { from: 'after', to: 'after', people: short },
        { from: 'l2', to: 'l2', people: long },
      ]),
      gains: [{ step: 'l3', people: long, sure: long }],
      losses: [],
    });
    const inside = people[await firstOf(people, 'long')] ?? '';
    for (const day of ['06', '07', '09']) await t.at(`2026-01-${day}T09:00:00Z`);
    expect(await t.mails(inside)).toEqual(['hello', 'l1', 'l2', 'l3', 'after']);
    expect(await t.mails(people[await firstOf(people, 'short')] ?? '')).toEqual(['hello', 's1', 'after']);
    // Nobody who was inside is drawn anew, or counts in the test that has begun.
    expect(await t.arms()).toEqual({ short, long });
  });

  it('of paths: a mail is explained by the version it was planned in, after its step went to the other arm by an edit', async () => {
    await t.publish(paths('judge: revenue'));
    const people = await t.join(20);
    const [short = '', long = ''] = await Promise.all(
      ['short', 'long'].map(async (arm) => people[await firstOf(people, arm)] ?? ''),
    );
    const was =
      /PLANNED_BY_SEQUENCE".*version 1.*SPLIT_TEST_ARM".*arm “long” of the split test “course\/fork”: a hash .*DUE_BY_STEP".*runs at once/;
    expect(await explain(long, 'l1')).toMatch(was);
    const swapped = `arms: [{ key: short, steps: [${mail('s1')}, ${mail('l1', ', delay: 1 day')}] }, { key: long, steps: [${mail('l2', ', delay: 1 day')}] }]`;
    await t.publish(paths('judge: revenue', swapped));
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    const move = async (body: object) =>
      t.post(`/api/v1/sequences/${sequence?.id}/move-people`, { dryRun: false, ...body });
    t.clock.advance(1000);
    await move({ mode: 'forward-only' });
    expect(await explain(long, 'l1')).toMatch(was);
    expect(await explain(long, 's1')).toMatch(
      /joined .*version 1, .* taken to version 2 since.*SPLIT_TEST_ARM_KEPT".*arm “long” .*BRANCH_WENT_OTHER_WAY".*drew “arm long”/,
    );
    // Somebody on the short path has the step before them now.
    expect(await explain(short, 'l1')).toMatch(
      /SPLIT_TEST_ARM_KEPT".*arm “short” .*BRANCH_TAKEN".*STEP_NOT_DUE/,
    );
    await t.at('2026-01-07T10:00:00Z');
    expect(await t.mails(short)).toEqual(['hello', 's1', 'l1']);
    expect(await explain(short, 'l1')).toMatch(
      /PLANNED_BY_SEQUENCE".*version 2.*SPLIT_TEST_ARM_KEPT".*arm “short” .*before the test was changed.*1 day after/,
    );
    // Their own path goes on where it was, though the mail they had is on the other one now.
    expect(await t.mails(long)).toEqual(['hello', 'l1', 'l2']);
    expect(await explain(long, 'l2')).toMatch(/version 2.*SPLIT_TEST_ARM_KEPT".*arm “long” .*1 day after/);
    // Who is taken to the other path by hand gets a mail that their arm does not have.
    await t.publish(paths('judge: revenue', swapped.replace(mail('l2', ', delay: 1 day'), mail('l3'))));
    t.clock.advance(1000);
    await move({ mode: 're-map', steps: { after: 'l3' } });
    await t.run();
    expect(await t.mails(short)).toEqual(['hello', 's1', 'l1', 'l3']);
    expect(await explain(short, 'l3')).toMatch(
      /version 3.*SPLIT_TEST_ARM_KEPT".*arm “short” .*SPLIT_TEST_OTHER_PATH".*arm “long” .*by a move/,
    );
    for (const step of ['s1', 'l1']) expect(await explain(short, step)).not.toContain('OTHER_PATH');
  });

  it('of paths that send as many mails, counts people who click in any of them', async () => {
    const two = (key: string): string =>
      `{ key: ${key}, steps: [${mail(`${key}1`)}, ${mail(`${key}2`, ', delay: 1 hour')}] }`;
    await t.publish(
      `- { key: fork, split: { judge: clicks, within: 1 day, arms: [${two('p')}, { key: q, steps: [${mail('q1')}, ${mail('q2')}] }] } }\n- ${mail('after')}`,
    );
    const people = await t.join(300);
    await t.at('2026-01-05T10:00:00Z');
    await accept();
    const readers = await Promise.all(people.map(async (id) => ({ id, arm: await t.armOf(id) })));
    const [ps, qs] = ['p', 'q'].map((arm) => readers.filter((one) => one.arm === arm).map(({ id }) => id));
    for (const id of ps?.slice(0, 30) ?? []) await t.hit(id, 'after', 'click');
    for (const [nth, id] of (qs ?? []).slice(0, 50).entries())
      await t.hit(id, nth < 25 ? 'q1' : 'q2', 'click');
    await t.hit(qs?.[0] ?? '', 'q2', 'click');
    t.clock.advance(2 * 86_400_000);
    await t.decideNow();
    expect(await t.shown()).toMatchObject({
      arms: [
        { key: 'p', acted: 0 },
        { key: 'q', acted: 50 },
      ],
      decision: { kind: 'winner', arm: 'q' },
    });
    const [late] = await t.join(1, 9_001);
    expect(await t.mails(late ?? '')).toEqual(['q1', 'q2', 'after']);
  });

  it('is stopped on its page, by the owner who is logged in', async () => {
    const { http } = t.test;
    await t.publish(paths('judge: revenue, holdout: 10%'));
    const id = String((await t.shown())['id']);
    const post = (cookie: string) =>
      http.post(`/admin/experiments/${id}/stop`).set('Cookie', cookie).type('form').send({ arm: 'long' });
    expect((await post('')).headers['location']).toBe('/admin/setup');
    const { cookie } = await ownerPages({ http });
    const page = async (): Promise<string> =>
      (await http.get('/admin/experiments').set('Cookie', cookie).expect(200)).text;
    const running = await page();
    for (const text of [`action="/admin/experiments/${id}/stop"`, 'fork of course', 'passes over the paths'])
      expect(running).toContain(text);
    expect((await post(cookie)).status).toBe(303);
    expect(await page()).not.toContain(`action="/admin/experiments/${id}/stop"`);
    expect(await t.shown()).toMatchObject({ decision: { kind: 'stopped', arm: 'long' } });
  });
});
