import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';

const HOUR_MS = 3_600_000;
const STEPS = `
- { key: hello, email: emails/welcome }
- { key: story, email: emails/story, delay: 1 hour }
- key: pick
  if: { clicked: story, within: 3 days }
  then: [{ key: deep, email: emails/deep-dive }]
  else: [{ key: nudge, email: emails/nudge }]`;

describe('a branch that waits three days for a click on a mail that goes late', () => {
  let t: Course;
  let id: string;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await t.test.http
      .put('/api/v1/sending/frequency')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ perWeek: null });
    await t.db.query(`delete from setting where key = 'sending.heartbeat'`);
    await t.clear();
  });

  const hours = async (count: number, step = count): Promise<void> => {
    for (let passed = 0; passed < count; passed += step) {
      t.clock.advance(step * HOUR_MS);
      await t.test.app.get(JobRunner).run('privacy.end-pauses');
      await t.test.runDue();
    }
  };
  /** The story is written, and its reader stands at the branch; `first` is done before anything goes. */
  const atBranch = async (first: () => Promise<unknown> = async () => undefined): Promise<void> => {
    await t.publish(STEPS);
    id = await t.person('reader@example.com');
    await first();
    await t.enroll(id);
    await t.test.runDue();
    t.clock.advance(HOUR_MS);
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T10:00:00Z') });
  };
  const went = async (): Promise<Record<string, string>> => {
    const rows: { step: string; at: Date }[] = await t.db.query(
      `select step_key as step, accepted_at as at from message where state = 'accepted' order by id`,
    );
    return Object.fromEntries(rows.map(({ step, at }) => [step, at.toISOString().slice(5, 16)]));
  };
  const onceAWeek = async (): Promise<unknown> =>
    t.test.http
      .put('/api/v1/sending/frequency')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ perWeek: 1 });

  it('by the frequency cap: that of the else was due before it had gone', async () => {
    await atBranch(onceAWeek);
    await hours(7 * 24, 6);
    expect(await went()).toEqual({ hello: '01-05T09:00', story: '01-12T10:00' });
    expect(await t.mails(id)).toEqual(['hello', 'story']);
    expect(await t.place(id)).toMatchObject({ step: 'pick' });
    await hours(3 * 24, 12);
    expect(await t.mails(id)).toEqual(['hello', 'story', 'nudge']);
  });

  it('waits for that click, and takes it when it comes', async () => {
    await atBranch(onceAWeek);
    await hours(8 * 24, 12);
    await t.hit(id, 'story', 'click');
    await hours(1);
    expect(await t.mails(id)).toEqual(['hello', 'story', 'deep']);
  });

  it('by a pause of its reader: both went in one minute at its end', async () => {
    await atBranch();
    const until = new Date(t.clock.now().getTime() + 10 * 24 * HOUR_MS);
    await t.db.query('update subscriber set paused_until = $2 where id = $1', [id, until]);
    await hours(10 * 24, 24);
    await hours(2 * 24, 12);
    expect(await went()).toEqual({ hello: '01-05T09:00', story: '01-15T10:00' });
    await hours(2 * 24, 12);
    expect(await went()).toEqual({ hello: '01-05T09:00', story: '01-15T10:00', nudge: '01-18T10:00' });
  });

  it('by an outage, and is held for the owner’s word: that of the else went alone, and the story never', async () => {
    await atBranch();
    await t.db.query(
      `update message set state = 'held', state_reason = 'overdue after an outage' where step_key = 'story'`,
    );
    await hours(4 * 24, 24);
    expect(await went()).toEqual({ hello: '01-05T09:00' });
    await t.post('/api/v1/messages/held/release', { reason: 'overdue after an outage' });
    await hours(1);
    expect(await t.mails(id)).toEqual(['hello', 'story']);
    await hours(4 * 24, 12);
    expect(await went()).toMatchObject({ story: '01-09T11:00', nudge: '01-12T11:00' });
  });

  it('by a backlog, as of a quota, in which it was never tried: that of the else was due as early, and came in one minute with it', async () => {
    await atBranch();
    t.clock.advance(3 * 24 * HOUR_MS);
    await t.run();
    expect(await t.mails(id)).toEqual(['hello', 'story']);
    await hours(4 * 24, 12);
    expect(await went()).toMatchObject({ story: '01-08T22:00', nudge: '01-11T22:00' });
  });

  it('as it seems by a clock that was ahead when it went: its reader had a month', async () => {
    await atBranch();
    await t.test.runDue();
    await t.db.query(
      `update message set accepted_at = accepted_at + interval '30 days' where step_key = 'story'`,
    );
    await hours(6 * 24, 12);
    expect(await t.mails(id)).toEqual(['hello', 'story', 'nudge']);
  });

  it('is over after three days of one that went in time, or never goes', async () => {
    await atBranch();
    await t.test.runDue();
    await hours(71);
    expect(await t.mails(id)).toEqual(['hello', 'story']);
    await hours(1);
    expect(await t.mails(id)).toEqual(['hello', 'story', 'nudge']);
  });
});
