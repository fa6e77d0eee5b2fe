import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { PausesService } from '../../../../src/privacy/pauses.service.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';

const OFFICE = 'window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00" }';
const STEPS = `- { key: first, email: emails/welcome }
- { key: story, email: emails/story, delay: 1 day }
- { key: last, email: emails/deep-dive, delay: 2 hours }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('the hours of a sequence, when a step or its mail is late', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await put('/api/v1/sending/frequency', { perDay: null, perWeek: null });
    await t.db.query('delete from topic_opt_out');
    await t.clear();
  });

  /** The end of a reader's pause, before anybody has their turn. */
  const endAt = async (until: Date): Promise<void> => {
    t.clock.set(until);
    await t.test.app.get(JobRunner, { strict: false }).run('privacy.end-pauses');
    await t.run();
  };
  const put = async (path: string, body: object): Promise<void> => {
    await t.test.http.put(path).set('Authorization', `Bearer ${API_KEY}`).send(body).expect(200);
  };
  const why = async (id: string, step: string): Promise<unknown> =>
    (
      await t.test.http
        .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=course&step=${step}`)
        .set('Authorization', `Bearer ${API_KEY}`)
    ).body;
  const message = async (step: string): Promise<Record<string, unknown> | undefined> => {
    const rows: Record<string, unknown>[] = await t.db.query(
      `select state, state_reason as reason, due_at as "dueAt", planned_for as "plannedFor" from message where step_key = $1`,
      [step],
    );
    return rows[0];
  };

  it.each([
    ['whose date has passed', 'until: 2025-12-24'],
    ['whose day is today', 'onDays: [tue]'],
    ['with no delay to speak of', 'delay: 0 minutes'],
  ])('keeps them for a mail that comes at once behind a step %s', async (_, timing) => {
    await t.publish(
      `- { key: day, wait: 1 day }
- { key: mark, tag: seen, ${timing} }
- { key: pitch, email: emails/offer, offer: course-kit, deadline: 3 days }`,
      OFFICE,
    );
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.mails(id)).toEqual(['pitch']);
    expect(await t.db.query('select 1 as hours from message where send_hours_id is not null')).toEqual([
      { hours: 1 },
    ]);
  });

  it.each([
    ['a tag that was just given', '{ key: mark, tag: seen }', 'tag: seen'],
    ['a field that was just set', '{ key: mark, set: { plan: pro } }', 'field: plan, is: pro'],
  ])('keeps them for a mail behind a branch that asks about %s', async (_, change, asked) => {
    await t.publish(
      `- { key: day, wait: 1 day }
- ${change}
- { key: one, if: { ${asked} }, then: [{ key: two, if: { ${asked} }, then: [{ key: pitch, email: emails/story }] }] }
- { key: soon, email: emails/deep-dive, delay: 1 hour }`,
      OFFICE,
    );
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.at('2026-01-06T09:00:00Z');
    await t.run();
    expect(await t.mails(id)).toEqual(['pitch']);
    const kept = 'select 1 as hours from message where send_hours_id is not null';
    expect(await t.db.query(kept)).toEqual([{ hours: 1 }]);
    // The turn is over: nothing of it is left for the next.
    expect(await t.db.query('select hours_of from enrollment')).toEqual([{ hours_of: null }]);
  });

  it('puts a step that comes up at night off until they open, says so, and counts its delays from there', async () => {
    await t.publish(STEPS, OFFICE);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    // Due on Tuesday 09:00; nothing runs until Wednesday 03:00.
    await t.at('2026-01-07T03:00:00Z');
    const opening = new Date('2026-01-07T08:00:00Z');
    expect(await t.place(id)).toMatchObject({ step: 'story', nextAt: opening });
    expect(await t.mails(id)).toEqual(['first']);
    expect(await why(id, 'story')).toMatchObject({
      decidedBy: 'OUTSIDE_SEND_WINDOW',
      answer: expect.stringMatching(
        /due at Tue 6 Jan 2026, 09:00 UTC.*open again at Wed 7 Jan 2026, 08:00 UTC/,
      ),
    });
    await t.at('2026-01-07T08:00:00Z');
    expect(await t.mails(id)).toEqual(['first', 'story']);
    expect(await t.place(id)).toMatchObject({ step: 'last', nextAt: new Date('2026-01-07T10:00:00Z') });
    expect(await message('story')).toMatchObject({ dueAt: opening });
    expect(await t.db.query('select planned_for from enrollment')).toEqual([{ planned_for: null }]);
  });

  it('holds for steps with an hour of their own, a date, and a test, and not for one that somebody waits for', async () => {
    const arms =
      'judge: clicks, arms: [{ key: a, delay: 1 day, at: "10:00" }, { key: b, subject: Other, delay: 1 day, at: "10:00" }]';
    const steps: [string, string, string][] = [
      ['- { key: x, email: emails/story, delay: 1 day, at: "10:30" }', '', '2026-01-07T10:30:00Z'],
      ['- { key: x, email: emails/story, delay: 1 day, onDays: [tue] }', '', '2026-01-13T00:00:00Z'],
      ['- { key: x, email: emails/story, until: 2026-01-06 }', OFFICE, '2026-01-07T08:00:00Z'],
      ['- { key: x, email: emails/story, until: { field: day } }', OFFICE, '2026-01-07T08:00:00Z'],
      [`- { key: x, email: emails/story, split: { ${arms} } }`, OFFICE, '2026-01-07T10:00:00Z'],
      ['- { key: x, wait: 1 day }\n- { key: y, email: emails/story }', OFFICE, '2026-01-07T08:00:00Z'],
      [
        '- { key: x, webhook: "https://hooks.example.com/in", delay: 1 day, quietHours: { from: "22:00", to: "08:30" } }',
        '',
        '2026-01-07T08:30:00Z',
      ],
    ];
    for (const [index, [step, more]] of steps.entries()) {
      const quiet = index === 0 ? 'quietHours: { from: "22:00", to: "07:00" }' : more;
      await t.publish(step, quiet, `seq-${index}`);
      await t.publish(
        step.replace('key: x,', 'key: x, expires: 2026-01-07T05:00:00Z,'),
        quiet,
        `exp-${index}`,
      );
    }
    const id = await t.person('reader@example.com', { fields: { day: '2026-01-06' } });
    for (const index of steps.keys()) {
      await t.enroll(id, `seq-${index}`);
      await t.enroll(id, `exp-${index}`);
    }
    await t.publish('- { key: x, email: emails/story }', OFFICE, 'at-once');
    await t.run();
    await t.at('2026-01-07T03:00:00Z');
    await t.enroll(id, 'at-once');
    await t.run();
    const waits = await Promise.all(
      steps.map(async (_, index) => (await t.place(id, `seq-${index}`))?.['nextAt']),
    );
    expect(waits).toEqual(steps.map(([, , at]) => new Date(at)));
    expect(await t.mails(id)).toEqual(['x']);
    const planned: { n: number }[] = await t.db.query('select count(planned_for)::int as n from enrollment');
    expect(planned).toEqual([{ n: 14 }]);
    // Who expires before the opening is passed over at it, and not sent late.
    await t.at('2026-01-13T10:30:00Z');
    const expired: { n: number }[] = await t.db.query(
      `select count(*)::int as n from enrollment_step where outcome like 'expired %'`,
    );
    expect(expired).toEqual([{ n: 7 }]);
  });

  it('does not forget when a dated step was due that is woken while it waits, and calls it late from its opening on', async () => {
    await t.publish('- { key: story, email: emails/story, until: { field: day } }', OFFICE);
    const id = await t.person('reader@example.com', { fields: { day: '2026-01-06T18:00:00Z' } });
    await t.enroll(id);
    await t.run();
    const planned = async (): Promise<unknown> =>
      t.db.query('select planned_for as at, next_at as next from enrollment');
    const putOff = [{ at: new Date('2026-01-06T18:00:00Z'), next: new Date('2026-01-07T08:00:00Z') }];
    await t.at('2026-01-06T21:00:00Z');
    expect(await planned()).toEqual(putOff);
    t.clock.set('2026-01-06T22:00:00Z');
    expect(await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'client' })).toMatchObject({ status: 200 });
    await t.run();
    expect(await planned()).toEqual(putOff);
    expect(await why(id, 'story')).toMatchObject({ decidedBy: 'OUTSIDE_SEND_WINDOW' });
    // Nothing ran from before the opening until long after it: the rule for overdue mail counts from there.
    await t.at('2026-01-07T10:30:00Z');
    expect(await message('story')).toMatchObject({ dueAt: new Date('2026-01-07T08:00:00Z') });
  });

  it('holds for the end of a reader’s pause', async () => {
    await t.publish(STEPS, OFFICE);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-05T21:00:00Z');
    const until = await t.test.app.get(PausesService, { strict: false }).begin(id, 7);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.place(id)).toMatchObject({ step: 'story', nextAt: until });
    await endAt(until);
    expect(await t.place(id)).toMatchObject({ step: 'story', nextAt: new Date('2026-01-13T08:00:00Z') });
  });

  it('sends nothing weeks early because a reader ends a pause early, or makes it shorter', async () => {
    const later = '- { key: later, email: emails/story';
    await t.publish(`${later}, delay: 20 days }`);
    await t.publish(`${later}, until: 2026-01-25 }`, '', 'dated');
    await t.publish('- { key: soon, email: emails/welcome, delay: 1 hour }', '', 'soon');
    const pauses = t.test.app.get(PausesService, { strict: false });
    const people = [await t.person('ends@example.com'), await t.person('shortens@example.com')];
    for (const id of people) {
      for (const key of ['course', 'dated', 'soon']) await t.enroll(id, key);
      await t.run();
      await pauses.begin(id, 30);
    }
    const [ends = '', shortens = ''] = people;
    await t.at('2026-01-06T09:00:00Z');
    await pauses.end(ends);
    const until = await pauses.begin(shortens, 7);
    await t.run();
    // What came up in the pause comes at its end, and nothing else.
    expect([await t.mails(ends), await t.mails(shortens)]).toEqual([['soon'], []]);
    expect(await t.place(shortens, 'soon')).toMatchObject({ nextAt: until });
    for (const id of people)
      expect([await t.place(id), await t.place(id, 'dated')]).toMatchObject([
        { step: 'later', nextAt: new Date('2026-01-25T09:00:00Z') },
        { step: 'later', nextAt: new Date('2026-01-25T00:00:00Z') },
      ]);
  });

  it('holds who joins or is woken during a reader’s pause to its end, each delay from there, and goes on if it ends early', async () => {
    await t.publish(STEPS);
    const waits = `- { key: a, email: emails/welcome }
- { key: ask, if: { clicked: a, within: 60 days }, then: [{ key: thanks, email: emails/story }] }`;
    await t.publish(waits, '', 'waiting');
    const pauses = t.test.app.get(PausesService, { strict: false });
    const id = await t.person('reader@example.com');
    const early = await t.person('early@example.com');
    await t.enroll(id, 'waiting');
    await t.run();
    const until = await pauses.begin(id, 30);
    await pauses.begin(early, 30);
    await t.at('2026-01-07T09:00:00Z');
    for (const one of [id, early]) await t.enroll(one);
    await t.hit(id, 'a', 'click');
    await t.run();
    expect(await t.mails(id)).toEqual(['a']);
    expect([await t.place(id), await t.place(id, 'waiting')]).toMatchObject([
      { step: 'first', nextAt: until },
      { step: 'ask', nextAt: until },
    ]);
    await t.at('2026-01-20T09:00:00Z');
    await pauses.end(early);
    await t.run();
    expect(await t.mails(early)).toEqual(['first']);
    expect(await t.mails(id)).toEqual(['a']);
    await endAt(until);
    expect((await t.mails(id)).toSorted()).toEqual(['a', 'first', 'thanks']);
    expect(await t.place(id)).toMatchObject({
      step: 'story',
      nextAt: new Date(until.getTime() + 86_400_000),
    });
  });

  it('sends no mail that had to wait outside of them, says so, and lets what is transactional pass', async () => {
    await put('/api/v1/sending/frequency', { perDay: 1, perWeek: null });
    await t.publish(
      `- { key: late, email: emails/story, delay: 9 hours }\n- { key: soon, email: emails/deep-dive, delay: 5 minutes }`,
      OFFICE,
    );
    const id = await t.person('reader@example.com', { timeZone: 'Europe/Berlin' });
    await t.enroll(id);
    await t.run();
    // 18:00 in London is 19:00 in Berlin, so the step is due on Tuesday at eight there.
    t.clock.set('2026-01-06T07:00:00Z');
    await t.test.runDue();
    expect(await message('late')).toMatchObject({ state: 'accepted' });
    t.clock.set('2026-01-06T07:05:00Z');
    await t.test.runDue();
    expect(await message('soon')).toMatchObject({ state: 'ready', reason: 'frequency cap: 1 a day' });
    // The cap is over, but no worker was there before the evening.
    t.clock.set('2026-01-07T18:00:00Z');
    await t.test.runDue();
    const opening = new Date('2026-01-08T07:00:00Z');
    expect(await message('soon')).toMatchObject({
      state: 'ready',
      reason: 'outside the send window',
      dueAt: opening,
    });
    expect(await why(id, 'soon')).toMatchObject({
      decidedBy: 'OUTSIDE_SEND_WINDOW',
      answer: expect.stringContaining('open again at Thu 8 Jan 2026, 08:00 Europe/Berlin'),
    });
    await t.db.query(
      `update message set class = 'transactional', send_hours_id = null, due_at = $1 where step_key = 'soon'`,
      [t.clock.now()],
    );
    await t.test.runDue();
    expect(await message('soon')).toMatchObject({ state: 'accepted', reason: null });
    const hours: unknown[] = await t.db.query('select time_zone from send_hours');
    expect(hours).toContainEqual({ time_zone: 'Europe/Berlin' });
  });

  it('gives the reader their mail as soon as they open, without a cap too', async () => {
    await t.publish(STEPS, OFFICE);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-06T18:59:59Z');
    t.clock.set('2026-01-06T19:00:00Z');
    await t.test.runDue();
    expect(await message('story')).toMatchObject({ state: 'ready', reason: 'outside the send window' });
    t.clock.set('2026-01-07T08:00:00Z');
    await t.test.runDue();
    expect(await message('story')).toMatchObject({ state: 'accepted', reason: null });
  });
});
