import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY } from '../../../support/app.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

const text = (...keys: string[]): string =>
  funnelText(keys.map((key) => `- { key: ${key}, email: emails/story, delay: 1 day }`).join('\n'));
type Answer = { status: number; body: Record<string, unknown> };

describe('a plan that takes people along', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const call = async (path: string, body: object): Promise<Answer> => {
    const method = path === 'course' ? 'put' : 'post';
    const answer = await t.test.http[method](`/api/v1/funnels/${path}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ movePeople: { mode: 'forward-only' }, ...body });
    return { status: answer.status, body: answer.body as Record<string, unknown> };
  };
  const join = async (name: string): Promise<string> => {
    const id = await t.person(`${name}@example.com`);
    await t.enroll(id);
    return id;
  };
  const yaml = text('a', 'x', 'b', 'c');
  /** One has had a and b, the other is before a. */
  const started = async (): Promise<{ late: string; token: unknown }> => {
    await call('course', { yaml: text('a', 'b', 'c'), movePeople: undefined });
    await join('early');
    await t.at('2026-01-06T09:00:00Z');
    await t.at('2026-01-07T09:00:00Z');
    const late = await join('late');
    const { body } = await call('course', { yaml, dryRun: true });
    expect(String(body['words'])).toContain('1 newly gets step x');
    return { late, token: body['token'] };
  };

  it('is carried out though people walk on and others join: on a busy list it was refused for ever', async () => {
    const { late, token } = await started();
    await t.at('2026-01-08T09:00:00Z');
    const newcomer = await join('newcomer');
    const applied = await call('course', { yaml, plan: token });
    expect(applied).toMatchObject({ status: 200, body: { applied: true } });
    expect(String(applied.body['words'])).toContain('2 newly get step x');
    for (const day of ['09', '10', '11']) await t.at(`2026-01-${day}T09:00:00Z`);
    expect(await t.mails(late)).toEqual(['a', 'x', 'b', 'c']);
    expect(await t.mails(newcomer)).toEqual(['a', 'x', 'b']);
  });

  it('does not bring a mail to those who have come past it, of which the plan said no more than that they would get it', async () => {
    const { late, token } = await started();
    await t.at('2026-01-08T09:00:00Z');
    await t.at('2026-01-09T09:00:00Z');
    const applied = await call('course', { yaml, plan: token });
    expect(applied.status).toBe(200);
    expect(String(applied.body['words'])).not.toContain('newly');
    await t.at('2026-01-12T09:00:00Z');
    expect(await t.mails(late)).toEqual(['a', 'b', 'c']);
  });

  it('is refused, and moves nobody, when somebody who was there would get a mail that it did not show', async () => {
    const { token } = await started();
    const places = async (): Promise<unknown> => t.db.query('select * from enrollment order by id');
    // Their enrollment was on its way when the plan was made, and is older than it.
    await t.enroll(await t.person('unseen@example.com'));
    const before = await places();
    const refused = await call('course', { yaml, plan: token });
    expect(refused).toMatchObject({ status: 409, body: { code: 'FUNNEL_PLAN_CONFLICT' } });
    expect(refused.body['detail']).toContain(
      '2 of those who were there would newly get step x, and the plan showed 1',
    );
    expect(await places()).toEqual(before);
    const other = await call('course', { yaml, plan: token, movePeople: { mode: 're-map', steps: {} } });
    expect(other.body['detail']).toContain('or the choice for people is another');
  });

  it('is carried out with its own token when somebody owns what a mail offers that now comes to all: it was refused every time', async () => {
    const pitch = '{ key: pitch, offer: course-kit, email: emails/offer, delay: 1 day }';
    const first = '- { key: a, email: emails/story, delay: 1 day }';
    const some = `${first}\n- { key: ask, if: { tag: x }, then: [${pitch}] }`;
    await call('course', { yaml: funnelText(some), movePeople: undefined });
    await join('early');
    await t.enroll(await t.person('buyer@example.com', { tags: ['bought:course-kit'] }));
    const all = { yaml: funnelText(`${first}\n- ${pitch}`) };
    const { token: plan } = (await call('course', { ...all, dryRun: true })).body;
    expect(await call('course', { ...all, plan })).toMatchObject({ status: 200, body: { applied: true } });
  });

  it('leaves out who joined while it was made, as it does not show them: it was refused for them', async () => {
    await call('course', { yaml: text('a', 'b', 'c'), movePeople: undefined });
    const early = await join('early');
    const newcomer = await t.person('newcomer@example.com');
    // People are counted before their time zones are read.
    const held = await gate(t.db, 'lock table subscriber in access exclusive mode');
    const planning = call('course', { yaml, dryRun: true });
    await untilWaiting(t.db, 1, planning);
    t.clock.set('2026-01-05T09:00:02Z');
    await held.query(
      `insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
       select sequence_id, version_id, $2, status, step_key, next_at, $3 from enrollment where subscriber_id = $1`,
      [early, newcomer, '2026-01-05T09:00:01Z'],
    );
    await held.open();
    const { body } = await planning;
    expect(String(body['words'])).toContain('1 newly gets step x');
    const applied = await call('course', { yaml, plan: body['token'] });
    expect(applied).toMatchObject({ status: 200, body: { applied: true } });
    expect(String(applied.body['words'])).toContain('2 newly get step x');
  });

  it('of a rollback stands for it by REST: another version is not brought back', async () => {
    await call('course', { yaml: text('a', 'b'), movePeople: undefined });
    await call('course', { yaml: text('a', 'b', 'c'), movePeople: undefined });
    await call('course', { yaml: text('a', 'b', 'c', 'd'), movePeople: undefined });
    await join('early');
    const dry = await call('course/rollback', { to: 1, dryRun: true });
    const { token: plan } = dry.body;
    const other = await call('course/rollback', { to: 2, plan });
    expect(other).toMatchObject({ status: 409, body: { code: 'FUNNEL_PLAN_CONFLICT' } });
    const back = await call('course/rollback', { to: 1, plan });
    expect(back).toMatchObject({ status: 200, body: { to: 1, words: dry.body['words'] } });
  });
});
