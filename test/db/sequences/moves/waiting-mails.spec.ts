import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../course.js';

const PAUSES = '/api/v1/sending/sequences/course';
const step = (key: string, email = key): string => `- { key: ${key}, email: emails/${email}, delay: 1 day }`;
const STEPS = [step('story'), step('nudge'), step('deep-dive')];

describe('mails that wait while their people are taken to another version', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await t.post(`${PAUSES}/resume`, {});
    await t.clear();
  });

  const days = async (count: number): Promise<void> => {
    for (let day = 0; day < count; day++) {
      t.clock.advance(86_400_000);
      await t.test.runDue();
    }
  };
  /** The mail of the step `at` is written and waits, as its sequence is paused. */
  const waiting = async (at: number, steps = STEPS): Promise<string> => {
    await t.publish(steps.join('\n'));
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await days(at);
    t.clock.advance(86_400_000);
    await t.run();
    await t.post(`${PAUSES}/pause`, {});
    await t.test.runDue();
    return id;
  };
  const edit = async (steps: readonly string[], mode: 'forward-only' | null): Promise<void> => {
    const move = mode === null ? {} : { move: { mode } };
    await t.test.app
      .get(FunnelsService, { strict: false })
      .apply(funnelText(steps.join('\n')), null, 'course.yaml', move);
  };
  const letGo = async (): Promise<void> => {
    await t.post(`${PAUSES}/resume`, {});
    await t.test.runDue();
  };
  const went = async (): Promise<unknown> =>
    t.db.query(
      `select m.step_key as step, e.key as mail, m.state from message m join email_template e on e.id = m.email_template_id order by m.id`,
    );

  it('have the words that their owner has mended: they had paused them for that, and what they had mended went out', async () => {
    await waiting(1);
    await edit([step('story'), step('nudge', 'welcome'), step('deep-dive')], 'forward-only');
    await letGo();
    expect(await went()).toEqual([
      { step: 'story', mail: 'emails/story', state: 'accepted' },
      { step: 'nudge', mail: 'emails/welcome', state: 'accepted' },
    ]);
  });

  it('of the last step, too, whose people are through', async () => {
    const id = await waiting(2);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    await edit([step('story'), step('nudge'), step('deep-dive', 'welcome')], 'forward-only');
    await letGo();
    expect(await went()).toContainEqual({ step: 'deep-dive', mail: 'emails/welcome', state: 'accepted' });
  });

  it('keep theirs where people stay in the version they joined', async () => {
    await waiting(1);
    await edit([step('story'), step('nudge', 'welcome'), step('deep-dive')], null);
    await letGo();
    expect(await went()).toContainEqual({ step: 'nudge', mail: 'emails/nudge', state: 'accepted' });
  });

  it('do not go when their step was taken out, and say so: they went as if it were there', async () => {
    await waiting(1);
    await edit([step('story'), step('deep-dive')], 'forward-only');
    await letGo();
    await days(2);
    expect(await went()).toEqual([
      { step: 'story', mail: 'emails/story', state: 'accepted' },
      { step: 'nudge', mail: 'emails/nudge', state: 'cancelled' },
      { step: 'deep-dive', mail: 'emails/deep-dive', state: 'accepted' },
    ]);
    const [row]: { id: string }[] = await t.db.query(`select id from message where step_key = 'nudge'`);
    const { body } = await t.test.http
      .get(`/api/v1/messages/${row?.id}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(body).toMatchObject({ decidedBy: 'STEP_TAKEN_OUT' });
  });

  it('go as the step that has their mail under another name, where that is behind them', async () => {
    await waiting(1);
    await edit([step('push', 'nudge'), step('story'), step('deep-dive')], 'forward-only');
    await letGo();
    await days(2);
    expect(await went()).toEqual([
      { step: 'story', mail: 'emails/story', state: 'accepted' },
      { step: 'nudge', mail: 'emails/nudge', state: 'accepted' },
      { step: 'deep-dive', mail: 'emails/deep-dive', state: 'accepted' },
    ]);
  });

  it('come with a step that has their mail under another name and is still to come: they went twice', async () => {
    await waiting(1);
    await edit([step('story'), step('push', 'nudge'), step('deep-dive')], 'forward-only');
    await letGo();
    await days(2);
    expect(await went()).toEqual([
      { step: 'story', mail: 'emails/story', state: 'accepted' },
      { step: 'nudge', mail: 'emails/nudge', state: 'cancelled' },
      { step: 'push', mail: 'emails/nudge', state: 'accepted' },
      { step: 'deep-dive', mail: 'emails/deep-dive', state: 'accepted' },
    ]);
  });

  it('of the last step went as they were mended first, when their owner had mended them once more', async () => {
    await waiting(2);
    await edit([step('story'), step('nudge'), step('deep-dive', 'welcome')], 'forward-only');
    await edit([step('story'), step('nudge'), step('deep-dive', 'story')], 'forward-only');
    await letGo();
    expect(await went()).toContainEqual({ step: 'deep-dive', mail: 'emails/story', state: 'accepted' });
  });

  it('of the last step went as they were where a limit, and no pause, kept them', async () => {
    await t.publish(step('deep-dive'));
    await t.enroll(await t.person('reader@example.com'));
    t.clock.advance(86_400_000);
    await t.run();
    await edit([step('deep-dive', 'welcome')], 'forward-only');
    await t.test.runDue();
    expect(await went()).toEqual([{ step: 'deep-dive', mail: 'emails/welcome', state: 'accepted' }]);
  });

  it.each([0, 3])(
    'had the step behind them follow at once where people were taken to another version %d hours after the pause: its new delay counted from when they were written',
    async (hours) => {
      const second = (delay: number): string => `- { key: nudge, email: emails/nudge, delay: ${delay} days }`;
      await waiting(0, [step('story'), second(1)]);
      await days(2);
      await t.post(`${PAUSES}/resume`, {});
      if (hours > 0) await t.test.runDue();
      t.clock.advance(hours * 3_600_000);
      await edit([step('story'), second(2)], 'forward-only');
      await t.test.runDue();
      t.clock.advance((48 - hours) * 3_600_000);
      await t.test.runDue();
      const [between] = await t.db.query(
        `select extract(day from max(accepted_at) - min(accepted_at))::int as days, count(*)::int from message where state = 'accepted'`,
      );
      expect(between).toEqual({ days: 2, count: 2 });
    },
  );

  it('went as they were where their people had gone on to another sequence', async () => {
    await t.publish(step('deep-dive'), '', 'other');
    await waiting(0, [step('story'), '- { key: on, move: other }']);
    await edit([step('story', 'welcome'), '- { key: on, move: other }'], 'forward-only');
    await letGo();
    expect(await went()).toContainEqual({ step: 'story', mail: 'emails/welcome', state: 'accepted' });
  });

  it('take along who has stood still for days of the pause: they go on in the new version when it ends', async () => {
    const id = await waiting(1);
    await days(3);
    expect(await t.place(id)).toMatchObject({ status: 'active', step: 'deep-dive' });
    await edit([step('story'), step('nudge', 'welcome'), step('deep-dive', 'story')], 'forward-only');
    await days(1);
    await letGo();
    await days(1);
    expect(await went()).toEqual([
      { step: 'story', mail: 'emails/story', state: 'accepted' },
      { step: 'nudge', mail: 'emails/welcome', state: 'accepted' },
      { step: 'deep-dive', mail: 'emails/story', state: 'accepted' },
    ]);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
  });

  it('of a split test have the words of their own arm', async () => {
    const tested = (email: string): string =>
      `- { key: story, email: emails/story, split: { judge: clicks, arms: [{ key: a }, { key: b, email: emails/${email} }] }, delay: 1 day }`;
    await waiting(0, [tested('nudge'), step('deep-dive')]);
    const [{ mail = '' } = {}] = (await went()) as { mail?: string }[];
    await edit([tested('welcome'), step('deep-dive')], 'forward-only');
    await letGo();
    const mended = mail === 'emails/nudge' ? 'emails/welcome' : 'emails/story';
    expect(await went()).toEqual([{ step: 'story', mail: mended, state: 'accepted' }]);
  });

  it('had the whole pause added to the delay of the step that people were taken to in it, which counted from then', async () => {
    const second = (delay: number): string => `- { key: nudge, email: emails/nudge, delay: ${delay} days }`;
    await waiting(0, [step('story'), second(2)]);
    await days(4);
    await edit([step('story'), second(1)], 'forward-only');
    await days(1);
    await letGo();
    await days(3);
    const [between] = await t.db.query(
      `select extract(day from max(accepted_at) - min(accepted_at))::int as days from message`,
    );
    expect(between).toEqual({ days: 1 });
  });

  it('got the words of another arm, where arms had one mail at two hours and one of them was given another', async () => {
    const tested = (own: string): string =>
      `- { key: story, email: emails/story, split: { judge: clicks, arms: [{ key: a, at: "09:00" }, { key: b, at: "10:00"${own} }] } }`;
    await t.publish([tested(''), step('deep-dive')].join('\n'));
    for (let reader = 0; reader < 24; reader++) await t.enroll(await t.person(`${reader}@example.com`));
    await t.run();
    t.clock.advance(2 * 86_400_000 + 2 * 3_600_000);
    await t.run();
    await t.post(`${PAUSES}/pause`, {});
    await t.test.runDue();
    await edit([tested(', email: emails/welcome'), step('deep-dive')], 'forward-only');
    const words: unknown[] = await t.db.query(
      `select distinct a.arm, e.key as mail from message m join email_template e on e.id = m.email_template_id
       join experiment_assignment a on a.enrollment_id = m.enrollment_id order by 1`,
    );
    expect(words).toEqual([
      { arm: 'a', mail: 'emails/story' },
      { arm: 'b', mail: 'emails/welcome' },
    ]);
  });
});
