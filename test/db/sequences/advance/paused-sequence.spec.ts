import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { PausesService } from '../../../../src/privacy/pauses.service.js';
import { openCourse, type Course } from '../course.js';

const DAY_MS = 86_400_000;

describe('a sequence whose mails are paused', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const pass = async (days: number, stepMs = DAY_MS): Promise<void> => {
    for (let passedMs = 0; passedMs < days * DAY_MS; passedMs += stepMs) {
      t.clock.advance(stepMs);
      await t.test.runDue();
    }
  };
  const say = async (what: 'pause' | 'resume'): Promise<unknown> =>
    (await t.post(`/api/v1/sending/sequences/course/${what}`, {})).body;
  /** In the order in which they went. */
  const went = async (): Promise<string[]> => {
    const rows: { row: string }[] = await t.db.query(
      `select step_key || ' ' || (accepted_at at time zone 'utc')::date as row from message
       where state = 'accepted' order by accepted_at`,
    );
    return rows.map(({ row }) => row);
  };

  it('sent each reader all its steps in one minute when it went on', async () => {
    await t.publish(
      `- { key: one, email: emails/story }
- { key: two, email: emails/story, delay: 2 days }
- { key: clicked, if: { clicked: two }, then: [{ key: thanks, tag: thanks }], else: [{ key: nudge, email: emails/story, delay: 2 days }] }
- { key: three, email: emails/story, delay: 2 days }`,
    );
    await t.enroll(await t.person('reader@example.com'));
    await t.test.runDue();
    await pass(1);
    await say('pause');
    await pass(11);
    expect(await went()).toEqual(['one 2026-01-05']);

    await say('resume');
    await pass(7, DAY_MS / 4);
    expect(await went()).toEqual([
      ...['one 2026-01-05', 'two 2026-01-17', 'nudge 2026-01-19', 'three 2026-01-21'],
    ]);
  });

  it('keeps the one mail that was planned, and those who leave meanwhile leave', async () => {
    await t.publish('- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 1 day }');
    const [stays, leaves] = [await t.person('stays@example.com'), await t.person('leaves@example.com')];
    for (const id of [stays, leaves]) await t.enroll(id);
    await t.run();
    await say('pause');
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [leaves]);
    await pass(5);
    expect(await t.place(leaves)).toMatchObject({ status: 'exited' });
    expect(await t.place(stays)).toMatchObject({ status: 'active', step: 'two' });
    await say('resume');
    await pass(2, DAY_MS / 4);
    expect(await t.mails(stays)).toEqual(['one', 'two']);
    expect(await t.mails(leaves)).not.toContain('two');
  });

  it.each([
    ['1 day', 5],
    ['1 day', 0.5],
    ['12 hours', 0.75],
  ])(
    'sent the step %s behind a mail that was written before it, after %d days, in the same minute',
    async (delay, days) => {
      await t.publish(
        `- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: ${delay} }`,
      );
      await t.enroll(await t.person('reader@example.com'));
      await t.run();
      await say('pause');
      await pass(days, DAY_MS / 4);
      await say('resume');
      await t.test.runDue();
      await pass(2, DAY_MS / 8);
      const [row]: { between: string }[] = await t.db.query(
        `select (max(accepted_at) - min(accepted_at))::text as between from message where state = 'accepted'`,
      );
      expect(row?.between).toBe(delay === '1 day' ? '1 day' : '12:00:00');
    },
  );

  it.each([
    ['until: "2026-01-12 09:00"', '2026-01-12'],
    ['until: { field: renewal }', '2026-01-12'],
    ['delay: 6 days, expires: "2026-01-13"', '2026-01-11'],
    ['delay: 6 days, expires: "2026-01-20"', '2026-01-16'],
  ])(
    'had a step that has a date of its own (%s) come days behind it, or never, by a mail that had waited in the pause',
    async (when, day) => {
      await t.publish(`- { key: one, email: emails/story }\n- { key: two, email: emails/story, ${when} }`);
      await t.enroll(await t.person('reader@example.com', { fields: { renewal: '2026-01-12' } }));
      await t.run();
      await say('pause');
      await pass(4);
      await say('resume');
      await pass(14);
      expect(await went()).toEqual(['one 2026-01-10', `two ${day}`]);
    },
  );

  it('sent the mail of an arm at its own time in the same minute as one that had waited', async () => {
    await t.publish(
      `- { key: one, email: emails/story }
- { key: two, email: emails/story, split: { judge: clicks, arms: [{ key: a, delay: 1 day }, { key: b, delay: 2 days }] } }`,
    );
    for (let reader = 0; reader < 24; reader++) await t.enroll(await t.person(`${reader}@example.com`));
    await t.run();
    await t.run();
    await say('pause');
    await pass(5);
    await say('resume');
    await t.test.runDue();
    await pass(3, DAY_MS / 4);
    const days: unknown[] = await t.db.query(
      `select distinct extract(day from two.accepted_at - one.accepted_at)::int as days
       from message one join message two using (enrollment_id)
       where one.step_key = 'one' and two.step_key = 'two' order by 1`,
    );
    expect(days).toEqual([{ days: 1 }, { days: 2 }]);
  });

  it.each(['sequence', 'reader'])(
    'said of a mail that it was held (by its %s) until it was of no use, but not where the pause ended before anybody looked',
    async (who) => {
      await t.publish('- { key: one, email: emails/story, expires: "2026-01-06" }');
      const id = await t.person('reader@example.com');
      await t.enroll(id);
      await t.run();
      if (who === 'sequence') await say('pause');
      else {
        const until = new Date(t.clock.now().getTime() + 3 * DAY_MS);
        await t.db.query('update subscriber set paused_until = $2 where id = $1', [id, until]);
      }
      await pass(3);
      if (who === 'sequence') await say('resume');
      else await t.test.app.get(JobRunner, { strict: false }).run('privacy.end-pauses');
      await t.test.runDue();
      const why = who === 'sequence' ? 'sequence paused' : 'paused by the reader';
      expect(await t.db.query('select state, state_reason as reason from message')).toEqual([
        { state: 'expired', reason: `${why}, too late to be sent` },
      ]);
    },
  );

  it('had readers wait on by as long who had ended their own pause, begun behind a mail that had waited', async () => {
    await t.publish('- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 1 day }');
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await say('pause');
    await t.test.runDue();
    const pauses = t.test.app.get(PausesService, { strict: false });
    await pauses.begin(id, 30);
    await pass(5);
    await say('resume');
    await pauses.end(id);
    await t.test.runDue();
    await pass(1);
    expect(await t.mails(id)).toEqual(['one', 'two']);
  });

  it('wrote everybody who was due in it anew every quarter of an hour', async () => {
    await t.publish('- { key: one, email: emails/story, delay: 1 hour }');
    for (const name of ['a', 'b', 'c']) await t.enroll(await t.person(`${name}@example.com`));
    await say('pause');
    const written = (): Promise<unknown> =>
      t.db.query("select id, ctid, xmin, planned_for at time zone 'utc' as due from enrollment order by id");
    await pass(1 / 12, DAY_MS / 24);
    const before = await written();
    await pass(2, DAY_MS / 4);
    expect(await written()).toEqual(before);
    await say('resume');
    await pass(1 / 24, DAY_MS / 24);
    expect(await went()).toEqual(Array.from({ length: 3 }, () => 'one 2026-01-07'));
  });

  it('goes on also for whom a run stops that began before it did', async () => {
    await t.publish('- { key: one, email: emails/story, delay: 1 hour }');
    await t.enroll(await t.person('reader@example.com'));
    await say('pause');
    await say('resume');
    await t.db.query('update enrollment set planned_for = next_at, next_at = null');
    await pass(1 / 12, DAY_MS / 24);
    expect(await went()).toEqual(['one 2026-01-05']);
  });

  it('kept the owner waiting who let it go on until the last of its many mails was released', async () => {
    await t.publish('- { key: one, email: emails/story }');
    await t.enroll(await t.person('reader@example.com'));
    await t.run();
    await say('pause');
    await t.db.query(`update message set state = 'held', state_reason = 'sequence paused'`);
    await t.db.query(
      `insert into message overriding system value select (jsonb_populate_record(m, jsonb_build_object('id', nextval('message_id_seq'), 'dedupe_key', 'many:' || n))).*
       from message m, generate_series(1, 5000) n`,
    );
    const held = async (): Promise<unknown> =>
      (await t.db.query(`select count(*)::int as count from message where state = 'held'`))[0];
    expect(await say('resume')).toEqual({ released: 5001 });
    expect(await held()).toEqual({ count: 1 });
    await t.test.app.get(JobRunner, { strict: false }).run('delivery.release-paused');
    expect(await held()).toEqual({ count: 0 });
  });

  it.each([1, 10])(
    'decided a branch that waits for a click as if mails had not waited for %d days: one had just gone, and that of its else went as well',
    async (days) => {
      await t.publish(
        `- { key: story, email: emails/story }
- key: clicked
  if: { clicked: story, within: 3 days }
  then: [{ key: thanks, tag: thanks }]
  else: [{ key: nudge, email: emails/story }]`,
      );
      const id = await t.person('reader@example.com');
      await t.enroll(id);
      await t.run();
      await say('pause');
      await pass(days);
      await say('resume');
      await pass(4, DAY_MS / 4);
      const on = (day: number): string => `2026-01-${String(5 + day).padStart(2, '0')}`;
      expect(await went()).toEqual([`story ${on(days)}`, `nudge ${on(days + 3)}`]);
    },
  );

  it('made a wait shorter where the clock was ahead when the pause began: the mail of its else went days early', async () => {
    await t.publish(
      `- { key: story, email: emails/story }
- { key: clicked, if: { clicked: story, within: 3 days }, then: [{ key: thanks, tag: thanks }], else: [{ key: nudge, email: emails/story }] }`,
    );
    await t.enroll(await t.person('reader@example.com'));
    await t.run();
    t.clock.advance(2 * DAY_MS);
    await say('pause');
    t.clock.advance(-2 * DAY_MS + DAY_MS / 24);
    await say('resume');
    await pass(4, DAY_MS / 4);
    expect(await went()).toEqual(['story 2026-01-05', 'nudge 2026-01-08']);
  });
});
