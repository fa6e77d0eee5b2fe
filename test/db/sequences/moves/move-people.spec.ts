import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SequenceDefinition } from '../../../../src/sequences/steps/definition.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { groupsOfMove } from '../../../../src/sequences/moves/move-groups.queries.js';
import type { MoveMode } from '../../../../src/sequences/moves/placement.js';
import { prepareSequence } from '../../../../src/sequences/steps/prepared.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { untilWaiting } from '../../../support/database.js';

const mail = (key: string): string => `- { key: ${key}, email: emails/story, delay: 1 day }`;
const steps = (...keys: string[]): string => keys.map(mail).join('\n');

describe('a sequence that is edited while people are in it', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const move = async (body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    return t.post(`/api/v1/sequences/${sequence?.id}/move-people`, body);
  };
  const days = async (from: number, to: number): Promise<void> => {
    for (let day = from; day <= to; day++) await t.at(`2026-01-${String(day).padStart(2, '0')}T09:00:00Z`);
  };
  /** One has had a, one a and b; the sequence then gets x behind a. */
  const edited = async (): Promise<{ one: string; two: string }> => {
    await t.publish(steps('a', 'b', 'c'));
    const two = await t.person('two@example.com');
    await t.enroll(two);
    await days(6, 6);
    const one = await t.person('one@example.com');
    await t.enroll(one);
    await days(7, 7);
    await t.publish(steps('a', 'x', 'b', 'c'));
    return { one, two };
  };

  it('keeps everybody in the version they joined until its owner chooses', async () => {
    const { one, two } = await edited();
    await days(8, 10);
    expect(await t.mails(one)).toEqual(['a', 'b', 'c']);
    expect(await t.mails(two)).toEqual(['a', 'b', 'c']);
  });

  it('ends within minutes for who clicked long ago what ends the version they were moved to', async () => {
    await t.publish(steps('a', 'b', 'c'));
    const id = await t.person('clicked@example.com');
    await t.enroll(id);
    await days(6, 6);
    await t.hit(id, 'a', 'click');
    await t.publish(steps('a', 'b', 'c'), 'exitOn: [{ clicked: a }]');
    for (const minute of [10, 21, 32, 43]) await t.at(`2026-01-06T09:${minute}:00Z`);
    expect(await t.place(id)).toMatchObject({ status: 'active' });
    await move({ mode: 'forward-only', dryRun: false });
    await t.at('2026-01-06T09:54:01Z');
    expect(await t.place(id)).toMatchObject({ status: 'exited' });
  });

  it('counts who would get what before anything is written', async () => {
    await edited();
    const before: unknown = await t.db.query('select * from enrollment order by id');
    expect((await move({ mode: 'forward-only' })).body).toEqual({
      applied: false,
      toVersion: 2,
      people: 2,
      moves: [
        { from: 'c', to: 'c', people: 1 },
        { from: 'b', to: 'x', people: 1 },
      ],
      stays: [],
      gains: [{ step: 'x', people: 1, sure: 1 }],
      losses: [],
      gainers: { people: 1, sure: 1 },
      losers: { people: 0, sure: 0 },
      owners: [],
      overtaken: false,
    });
    expect((await move({ mode: 'catch-up', within: '2 days' })).body).toMatchObject({
      gains: [{ step: 'x', people: 2 }],
    });
    expect(await t.db.query('select * from enrollment order by id')).toEqual(before);
  });

  it('passes over, and says so, who owns what a step offers: a customer who joined later was pitched it once more', async () => {
    await t.publish(`- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 1 day }`);
    const people: Record<string, [tags: string[], membership: string | null, gets: string[]]> = {
      stranger: [[], null, ['one', 'pitch', 'again']],
      buyer: [['bought:course-kit'], null, ['one', 'again']],
      member: [[], 'active', ['one', 'again']],
      lapsed: [['bought:course-kit'], 'ended', ['one', 'pitch', 'again']],
      refunded: [[], 'refunded', ['one', 'pitch', 'again']],
      ending: [['bought:course-kit'], 'over', ['one', 'pitch', 'again']],
    };
    const ids = new Map<string, string>();
    for (const [name, [tags, state]] of Object.entries(people)) {
      const id = await t.person(`${name}@example.com`, { tags });
      ids.set(name, id);
      await t.enroll(id);
      if (state !== null)
        await t.db.query(
          `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
           select $1, id, case $2 when 'over' then 'active' else $2 end, now(), case $2 when 'over' then $3::timestamptz end, now(), now()
           from product where key = 'course-kit'`,
          [id, state, t.clock.now()],
        );
    }
    await t.run();
    const offer = 'offer: course-kit, email: emails/offer';
    const { words, people: affected } = await t.publish(
      `- { key: one, email: emails/story }\n- { key: pitch, ${offer}, delay: 1 day }\n- { key: again, ${offer}, toOwners: send }`,
    );
    expect(affected[0]).toMatchObject({
      gains: [
        { step: 'pitch', people: 6, sure: 0 },
        { step: 'again', people: 6, sure: 6 },
      ],
      owners: [{ step: 'pitch', product: 'course-kit', people: 2 }],
    });
    expect(words.join('\n')).toContain(
      '2 own course-kit already: step pitch passes them over where they come to it',
    );
    expect(await move({ mode: 'forward-only', dryRun: false })).toMatchObject({
      body: { owners: [{ step: 'pitch', people: 2 }] },
    });
    await t.at('2026-01-06T09:00:00Z');
    for (const [name, [, , gets]] of Object.entries(people))
      expect([name, await t.mails(ids.get(name) ?? '')]).toEqual([name, gets]);
    expect(await t.outcomes(ids.get('buyer') ?? '')).toEqual({ pitch: 'already owns course-kit' });
    const why = await t.test.http
      .get(`/api/v1/messages/explain?subscriberId=${ids.get('buyer') ?? ''}&funnel=course&step=pitch`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(JSON.stringify(why.body)).toMatch(/ALREADY_OWNED.*already owns “course-kit”/);
    // What waits, for the cap or its hours, is not sent to who buys meanwhile, though nothing ends the sequence.
    const stranger = ids.get('stranger') ?? '';
    const enrollments = t.test.app.get(EnrollmentsService, { strict: false });
    await t.db.transaction(async (manager) =>
      enrollments.exitOnPurchase(manager, stranger, { productKey: 'course-kit', orderId: '1' }),
    );
    expect(await t.mails(stranger)).toEqual(['one', 'again']);
    const [gone] = await t.db.query(
      `select state_reason as reason from message where subscriber_id = $1 and state = 'cancelled'`,
      [stranger],
    );
    expect(gone).toEqual({ reason: 'already owns course-kit' });
  });

  it('counts people who are alike together: each page of a thousand was looked at one by one', async () => {
    const { one, two } = await edited();
    // Alike in all that matters, at other times: 400 as the one, 300 as the other, of whom 100 passed it too long ago.
    await t.db.query(
      `with alike as (
         select p.n, gen.i from (values ($1::bigint, 400), ($2::bigint, 300)) as p (n, many) cross join generate_series(1, p.many) gen (i)),
       made as (
         insert into subscriber (email, email_key, status, created_at, updated_at)
         select 'a' || n || '-' || i || '@example.com', 'a' || n || '-' || i || '@example.com', 'active', now(), now() from alike
         returning id, split_part(substr(email, 2), '-', 1)::bigint as n, split_part(split_part(email, '-', 2), '@', 1)::int as i),
       joined as (
         insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
         select e.sequence_id, e.version_id, made.id, e.status, e.step_key, e.next_at + made.i * interval '1 second', e.started_at
         from made join enrollment e on e.subscriber_id = made.n returning id, subscriber_id)
       insert into enrollment_step (enrollment_id, step_key, outcome, at)
       select j.id, m.step_key, 'ran', m.created_at - case when made.i <= 100 and made.n = $2 then interval '9 days' else '0' end
       from joined j join made on made.id = j.subscriber_id join message m on m.subscriber_id = made.n and m.step_key is not null`,
      [one, two],
    );
    const [target]: { sequenceId: string; versionId: string; definition: SequenceDefinition }[] =
      await t.db.query(
        `select q.id as "sequenceId", v.id as "versionId", v.definition from sequence q
       join sequence_version v on v.id = q.current_version_id where q.key = 'course'`,
      );
    if (!target) throw new Error('there is no sequence');
    const to = prepareSequence(target.definition);
    const groups = async (mode: MoveMode): Promise<number[]> =>
      t.db.transaction(async (manager) =>
        (await groupsOfMove(manager, { ...target, to, mode })).map(({ people }) => people),
      );
    expect(await groups({ kind: 'forward-only' })).toEqual([301, 401]);
    expect(await groups({ kind: 're-map', steps: {} })).toEqual([301, 401]);
    expect(await groups({ kind: 'catch-up', since: new Date('2026-01-05T09:00:00Z') })).toEqual([
      201, 401, 100,
    ]);
    expect((await move({ mode: 'forward-only' })).body).toMatchObject({
      people: 702,
      moves: [
        { from: 'c', to: 'c', people: 301 },
        { from: 'b', to: 'x', people: 401 },
      ],
      gains: [{ step: 'x', people: 401 }],
    });
    expect((await move({ mode: 'catch-up', within: '2 days' })).body).toMatchObject({
      gains: [{ step: 'x', people: 602 }],
    });
  });

  it.each([
    ['forward-only', {}, ['a', 'x', 'b', 'c'], ['a', 'b', 'c']],
    ['catch-up', { within: '2 days' }, ['a', 'x', 'b', 'c'], ['a', 'b', 'x', 'c']],
    ['re-map', { steps: { b: 'c' } }, ['a', 'c'], ['a', 'b', 'c']],
  ])('%s %j', async (mode, more, mailsOfOne, mailsOfTwo) => {
    const { one, two } = await edited();
    const preview = (await move({ mode, ...more })).body;
    expect((await move({ mode, ...more, dryRun: false })).body).toEqual({ ...preview, applied: true });
    await t.run();
    await days(8, 14);
    expect(await t.mails(one)).toEqual(mailsOfOne);
    expect(await t.mails(two)).toEqual(mailsOfTwo);
    expect(await t.place(two)).toMatchObject({ status: 'completed' });
    expect((await move({ mode, ...more })).body).toMatchObject({ people: 0 });
  });

  it('does not take back to an old version who joins one that is published meanwhile', async () => {
    const { one } = await edited();
    await t.publish(steps('a', 'x', 'b', 'c', 'd'));
    const [, second, third]: { id: string }[] = await t.db.query(
      `select v.id from sequence_version v join sequence q on q.id = v.sequence_id where q.key = 'course' order by v.version`,
    );
    const makePresent = `update sequence set current_version_id = $1 where key = 'course'`;
    await t.db.query(makePresent, [second?.id]);
    const publishing = t.db.createQueryRunner();
    await publishing.startTransaction();
    await publishing.query(makePresent, [third?.id]);
    await publishing.query('update enrollment set version_id = $1 where subscriber_id = $2', [
      third?.id,
      one,
    ]);
    const answer = move({ mode: 'forward-only', dryRun: false });
    await untilWaiting(t.db, 1);
    await publishing.commitTransaction();
    await publishing.release();
    expect((await answer).body).toMatchObject({ applied: true, toVersion: 2, people: 0, overtaken: true });
    expect((await move({ mode: 'forward-only', dryRun: false })).body).toMatchObject({
      ...{ toVersion: 3, people: 1, overtaken: false },
    });
  });

  it('runs no step again that a worker ran while the move waited for it', async () => {
    const mark = '- { key: mark, tag: marked, delay: 1 day }';
    await t.publish(`${mail('a')}\n${mark}\n${mail('b')}`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await days(6, 6);
    await t.publish(`${mail('a')}\n${mail('b')}\n${mark}`);
    const worker = t.db.createQueryRunner();
    await worker.startTransaction();
    await worker.query(
      `with moved as (update enrollment set step_key = 'b', next_at = next_at + interval '1 day' where subscriber_id = $1 returning id)
       insert into enrollment_step (enrollment_id, step_key, outcome, at) select id, 'mark', 'ran', $2 from moved`,
      [id, t.clock.now()],
    );
    const answer = move({ mode: 'forward-only', dryRun: false });
    await untilWaiting(t.db, 1);
    await worker.commitTransaction();
    await worker.release();
    // Behind the mark, which is the last step now; as the move first saw them, the mark was still to come.
    expect((await answer).body).toMatchObject({ people: 1, moves: [{ from: 'b', to: null, people: 1 }] });
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
  });

  it('catches up with people who finished within the window, too', async () => {
    await t.publish(steps('a', 'b'));
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await days(6, 7);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    await t.publish(steps('a', 'b', 'more'));
    t.clock.set('2026-01-10T09:00:00Z');
    expect((await move({ mode: 'forward-only' })).body).toMatchObject({ people: 0 });
    expect((await move({ mode: 'catch-up', within: '1 day' })).body).toMatchObject({ people: 0 });
    expect((await move({ mode: 'catch-up', within: '7 days', dryRun: false })).body).toMatchObject({
      moves: [{ from: null, to: 'more', people: 1 }],
    });
    await t.run();
    expect(await t.mails(id)).toEqual(['a', 'b', 'more']);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
  });

  it('does not bring back who has bought since the last mail, or left by anything else that ends the sequence', async () => {
    const exits =
      `exitOn: [{ purchased: course-kit }, { tag: client }, { event: refunded }, { field: level, over: 2 },
      { clicked: b }]`.replaceAll('\n', ' ');
    await t.publish(steps('a', 'b'), exits);
    const leave = new Map<string, (id: string) => Promise<unknown>>([
      ['nothing', async () => Promise.resolve()],
      ['purchased', async (id) => t.post(`/api/v1/subscribers/${id}/tags`, { name: 'bought:course-kit' })],
      ['tagged', async (id) => t.post(`/api/v1/subscribers/${id}/tags`, { name: 'client' })],
      ['event', async (id) => t.post('/api/v1/events', { subscriberId: id, name: 'refunded' })],
      [
        'field',
        async (id) => t.db.query(`update subscriber set fields = '{"level": 3}' where id = $1`, [id]),
      ],
      ['clicked', async (id) => t.hit(id, 'b', 'click')],
    ]);
    const people = new Map<string, string>();
    for (const name of leave.keys()) people.set(name, await t.person(`${name}@example.com`));
    for (const id of people.values()) await t.enroll(id);
    await days(6, 7);
    await days(8, 8);
    for (const [name, id] of people) await leave.get(name)?.(id);
    await t.run();
    await t.publish(steps('a', 'b', 'more'), exits);
    const choice = { mode: 'catch-up', within: '7 days' };
    const preview = (await move(choice)).body;
    expect(preview).toMatchObject({
      people: 6,
      moves: [{ from: null, to: 'more', people: 1 }],
      stays: [{ reason: 'exit_holds', people: 5 }],
      gains: [{ step: 'more', people: 1 }],
    });
    expect((await move({ ...choice, dryRun: false })).body).toEqual({ ...preview, applied: true });
    await t.run();
    const got: unknown = await t.db.query(`select subscriber_id as id from message where step_key = 'more'`);
    expect(got).toEqual([{ id: people.get('nothing') }]);
  });

  it('catches up with who had bought before they joined: what never ended it does not keep them away', async () => {
    const exits = 'exitOn: [{ purchased: course-kit }, { tag: client }]';
    await t.publish(steps('a'), exits);
    const id = await t.person('reader@example.com', { tags: ['bought:course-kit', 'client'] });
    await t.db.query('update subscriber_tag set created_at = $1', [t.clock.now()]);
    await t.enroll(id);
    await days(6, 7);
    await t.publish(steps('a', 'more'), exits);
    const choice = { mode: 'catch-up', within: '7 days', dryRun: false };
    expect((await move(choice)).body).toMatchObject({ stays: [], gains: [{ step: 'more', people: 1 }] });
  });

  it('brings nobody back who joins again while a page is moved: they were in it twice', async () => {
    await t.publish(steps('a'), 'reentry: always');
    const [ada, ben] = [await t.person('ada@example.com'), await t.person('ben@example.com')];
    for (const id of [ada, ben]) await t.enroll(id);
    await days(6, 6);
    await t.publish(steps('a', 'more'), 'reentry: always');
    const other = t.db.createQueryRunner();
    await other.startTransaction();
    await other.query('select 1 from enrollment where subscriber_id = $1 for update', [ben]);
    const answer = move({ mode: 'catch-up', within: '7 days', dryRun: false });
    await untilWaiting(t.db, 1);
    expect(await t.enroll(ada)).toBe('enrolled');
    await other.commitTransaction();
    await other.release();
    await answer;
    const rows: unknown[] = await t.db.query(
      `select subscriber_id as id, count(*)::int as times from enrollment where status = 'active' group by 1 order by 1`,
    );
    expect(rows).toEqual([
      { id: ada, times: 1 },
      { id: ben, times: 1 },
    ]);
  });

  it.each([
    ['always', ['x'], 1],
    ['per event', ['x', 'x'], 2],
  ])(
    'gives nobody a step twice who finished and has joined again: reentry %s',
    async (reentry, xs, count) => {
      await t.publish(steps('a', 'b'), `reentry: ${reentry}`);
      const id = await t.person('ada@example.com');
      await t.enroll(id, 'course', 'one');
      await days(6, 7);
      await t.enroll(id, 'course', 'two');
      await days(8, 8);
      await t.publish(steps('a', 'x', 'b'), `reentry: ${reentry}`);
      const choice = { mode: 'catch-up', within: '7 days' };
      const preview = (await move(choice)).body;
      expect(preview).toMatchObject({ people: count, gains: [{ step: 'x', people: count }] });
      expect((await move({ ...choice, dryRun: false })).body).toEqual({ ...preview, applied: true });
      await t.run();
      await days(9, 12);
      expect((await t.mails(id)).filter((step) => step === 'x')).toEqual(xs);
    },
  );

  it.each([
    [{ mode: 'sideways' }, 'use forward-only'],
    [{ mode: 'catch-up' }, 'belongs to catch-up'],
    [{ mode: 'forward-only', within: '1 day' }, 'belongs to catch-up'],
    [{ mode: 'catch-up', within: 'soon' }, 'is not a duration'],
    [{ mode: 're-map' }, 'belongs to re-map'],
    [{ mode: 're-map', steps: { b: 'nowhere' } }, 'there are: a, x, b, c'],
  ])('refuses %j', async (body, message) => {
    await edited();
    const answer = await move(body);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(JSON.stringify(answer.body)).toContain(message);
  });
});
