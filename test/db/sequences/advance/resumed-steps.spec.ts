import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SequencePauses } from '../../../../src/delivery/waiting/sequence-pauses.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { PausesService } from '../../../../src/privacy/pauses.service.js';
import { openCourse, type Course } from '../course.js';

const HOUR_MS = 3_600_000;

describe('the step behind a mail that a pause has held', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await say('resume');
    await t.clear();
  });

  const run = async (): Promise<void> => {
    await t.test.app.get(JobRunner, { strict: false }).run('privacy.end-pauses');
    await t.test.runDue();
  };
  const say = async (what: 'pause' | 'resume'): Promise<unknown> =>
    (await t.post(`/api/v1/sending/sequences/course/${what}`, {})).body;
  /** Hours go by; whatever is due in them has its turn when it is. */
  const pass = async (hours: number): Promise<void> => {
    const end = new Date(t.clock.now().getTime() + hours * HOUR_MS);
    while (t.clock.now() < end) {
      const [next]: { at: Date | null }[] = await t.db.query(
        `select min(at) as at from (select min(next_at) as at from enrollment where status = 'active'
           union all select min(due_at) from message where state = 'ready'
           union all select min(paused_until) from subscriber) n where at > $1`,
        [t.clock.now()],
      );
      t.clock.set(next?.at && next.at < end ? next.at : end);
      await run();
    }
  };
  const went = async (): Promise<string[]> => {
    const rows: { row: string }[] = await t.db.query(
      `select step_key || to_char(accepted_at at time zone 'utc', ' Dy DD HH24:MI') as row from message
       where state = 'accepted' order by accepted_at, id`,
    );
    return rows.map(({ row }) => row);
  };
  /** A reader whose first mail is written at that time, and held at once. */
  const held = async (time: string, second: string): Promise<string> => {
    t.clock.set(time);
    await t.publish(`- { key: one, email: emails/story }\n- { key: two, email: emails/story, ${second} }`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await say('pause');
    return id;
  };

  it.each([
    ['delay: 1 day, window: { days: [mon], from: "09:00", to: "10:00" }', 3, 'two Mon 12 09:00'],
    [
      'delay: 1 day, window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00" }',
      24,
      'two Mon 12 08:00',
    ],
    ['delay: 2 days, at: "09:30"', 3, 'two Sun 11 09:30'],
    ['delay: 2 days, at: "09:30"', 9, 'two Sun 11 09:30'],
    ['delay: 2 days, at: "09:30"', 24, 'two Mon 12 09:30'],
    ['delay: 2 days, onDays: [mon]', 24, 'two Mon 12 09:00'],
  ])(
    'came at another hour than its own, or a week late (%s, after %d hours), as the pause was added to its time',
    async (second, hours, when) => {
      await held('2026-01-09T09:00:00Z', second);
      await pass(hours);
      await say('resume');
      await run();
      await pass(5 * 24 - hours);
      expect((await went())[1]).toBe(when);
    },
  );

  it('came as much sooner as had passed between two pauses, in which the mail could not go', async () => {
    await held('2026-01-05T09:00:00Z', 'delay: 1 day');
    await pass(24);
    await say('resume');
    t.clock.advance(20 * HOUR_MS);
    await say('pause');
    await pass(4);
    await say('resume');
    await run();
    await pass(30);
    expect(await went()).toEqual(['one Wed 07 09:00', 'two Thu 08 09:00']);
  });

  it.each(['by itself', 'by its reader'])(
    'came in one minute with it when a reader’s own pause ended %s',
    async (end) => {
      t.clock.set('2026-01-05T09:00:00Z');
      await t.publish(
        '- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 1 day }',
      );
      const id = await t.person('reader@example.com');
      await t.enroll(id);
      await t.run();
      const pauses = t.test.app.get(PausesService, { strict: false });
      await pauses.begin(id, 30);
      await t.test.runDue();
      await pass(24 * (end === 'by itself' ? 29 : 10));
      if (end === 'by its reader') await pauses.end(id);
      await run();
      await pass(3 * 24);
      expect(await went()).toEqual(
        end === 'by itself'
          ? ['one Wed 04 09:00', 'two Thu 05 09:00']
          : ['one Thu 15 09:00', 'two Fri 16 09:00'],
      );
    },
  );

  it('came with it where more mails than one batch were held for pauses of readers that ended together', async () => {
    t.clock.set('2026-01-05T09:00:00Z');
    await t.publish('- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 1 day }');
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.test.app.get(PausesService, { strict: false }).begin(id, 30);
    await t.test.runDue();
    await t.db.query(
      `insert into message overriding system value select (jsonb_populate_record(m, jsonb_build_object('id', -n, 'dedupe_key', 'many:' || n,
         'enrollment_id', null, 'expires_at', '2026-01-06'))).* from message m, generate_series(1, 5000) n`,
    );
    t.clock.set('2026-02-04T09:00:00Z');
    await run();
    await pass(30);
    expect(await went()).toEqual(['one Wed 04 09:00', 'two Thu 05 09:00']);
  });

  it('came too soon behind it where its time was soon after the end of its reader’s own pause', async () => {
    t.clock.set('2026-01-05T09:00:00Z');
    await t.publish(
      '- { key: one, email: emails/story }\n- { key: two, email: emails/story, delay: 31 days }',
    );
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.test.app.get(PausesService, { strict: false }).begin(id, 30);
    await run();
    await pass(24 * 63);
    expect(await went()).toEqual(['one Wed 04 09:00', 'two Sat 07 09:00']);
  });

  it('came with it where the process ended between two batches of many mails that were let go', async () => {
    const id = await held('2026-01-05T09:00:00Z', 'delay: 1 day');
    await run();
    await pass(48);
    await t.db.query(
      `insert into message overriding system value select (jsonb_populate_record(m, jsonb_build_object('id', 1000000 + n, 'dedupe_key', 'many:' || n,
         'enrollment_id', null, 'expires_at', '2026-01-06'))).* from message m, generate_series(1, 5000) n`,
    );
    await t.db.query(
      `with own as (delete from message where enrollment_id is not null returning *)
       insert into message overriding system value select (jsonb_populate_record(null::message, to_jsonb(own) || '{"id": 2000000}')).* from own`,
    );
    await say('resume');
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'two', nextAt: null });
    await t.test.app.get(JobRunner, { strict: false }).run('delivery.release-paused');
    await run();
    await pass(30);
    expect(await went()).toEqual(['one Wed 07 09:00', 'two Thu 08 09:00']);
  });

  it('waited for its delay behind a mail that was of no use any more when its pause ended, and did not go', async () => {
    t.clock.set('2026-01-05T09:00:00Z');
    await t.publish(
      '- { key: one, email: emails/story, expires: "2026-01-06" }\n- { key: two, email: emails/story, delay: 2 days }',
    );
    await t.enroll(await t.person('reader@example.com'));
    await t.run();
    await say('pause');
    await run();
    await pass(72);
    await say('resume');
    await run();
    expect(await went()).toEqual(['two Thu 08 09:00']);
  });

  it('came later than its time behind a mail that had gone in time, when an earlier one, put off for long, was held', async () => {
    await held('2026-01-05T09:00:00Z', 'delay: 1 day }\n- { key: three, email: emails/story, delay: 5 days');
    await say('resume');
    await t.db.query(`update message set due_at = due_at + interval '30 hours'`);
    await pass(25);
    await say('pause');
    await pass(24);
    await say('resume');
    await run();
    await pass(24 * 5);
    expect(await went()).toEqual(['two Tue 06 09:00', 'one Wed 07 10:00', 'three Sun 11 09:00']);
  });

  it('waited a minute longer behind thousands of mails, where somebody else held one of them or let some go as well', async () => {
    await held('2026-01-05T09:00:00Z', 'delay: 1 day');
    await run();
    await t.db.query(
      `insert into message overriding system value select (jsonb_populate_record(m, jsonb_build_object('id', 1000000 + n, 'dedupe_key', 'many:' || n,
         'enrollment_id', null, 'expires_at', '2026-01-06'))).* from message m, generate_series(1, 6000) n`,
    );
    await pass(48);
    const pauses = t.test.app.get(SequencePauses, { strict: false });
    await t.db.transaction(async (manager) => {
      await manager.query('select 1 from message where id = 1000001 for update');
      await t.db.query('update sequence_pause set resumed_at = $1', [t.clock.now()]);
      await pauses.release();
    });
    const [left] = await t.db.query(`select count(*)::int from message where state = 'held'`);
    expect(left).toEqual({ count: 1 });
  });

  it('keeps its time where that was before the owner’s word about a restored backup: its mail may have gone out', async () => {
    const id = await held('2026-01-05T09:00:00Z', 'delay: 1 day');
    await run();
    await pass(48);
    await t.db.query(
      `insert into setting (key, value, updated_at) values ('ledger.generation', $1, now())
       on conflict (key) do update set value = setting.value || excluded.value`,
      [{ confirmed: { at: t.clock.now(), unsent: 'hold' } }],
    );
    await say('resume');
    const [row] = await t.db.query('select planned_for as due from enrollment where subscriber_id = $1', [
      id,
    ]);
    await t.db.query(`update setting set value = value - 'confirmed' where key = 'ledger.generation'`);
    expect(row).toEqual({ due: new Date('2026-01-06T09:00:00Z') });
  });
});
