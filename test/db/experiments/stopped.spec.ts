import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY } from '../../support/app.js';
import { openCourse, type Course } from '../sequences/course.js';

const SUBJECTS = 'arms: [{ key: a }, { key: b, subject: "{{ subscriber.firstName }}, another" }]';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a split test', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await t.db.query('truncate experiment, conversion, consent_event, alert cascade');
    await t.clear();
  });

  const step = (split: string, more = ''): string =>
    `- { key: pitch, email: emails/story${more}, split: { ${split} } }`;
  /** Puts so many people straight into the sequence, and runs what is due. */
  const join = async (count: number, from = 1): Promise<string[]> => {
    const rows: { id: string }[] = await t.db.query(
      `with s as (
         insert into subscriber (email, email_key, name, status, created_at, confirmed_at, updated_at)
         select n || '@example.com', n || '@example.com', 'Reader', 'active', $3, $3, $3 from generate_series($1::int, $2::int) n returning id)
       insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, started_at)
       select q.id, q.current_version_id, s.id, 'active', v.definition ->> 'first', $3, $3
       from s, sequence q join sequence_version v on v.id = q.current_version_id where q.key = 'course'
       returning subscriber_id as id`,
      [from, from + count - 1, t.clock.now()],
    );
    await t.run();
    return rows.map(({ id }) => id);
  };
  const arms = async (): Promise<Record<string, number>> => {
    const rows: { arm: string; people: number }[] = await t.db.query(
      'select arm, count(*)::int as people from experiment_assignment group by 1',
    );
    return Object.fromEntries(rows.map(({ arm, people }) => [arm, people]));
  };
  const armOf = async (id: string): Promise<string | undefined> => {
    const rows: { arm: string }[] = await t.db.query(
      'select arm from experiment_assignment where subscriber_id = $1 order by experiment_id desc limit 1',
      [id],
    );
    return rows[0]?.arm;
  };
  const decideNow = async (): Promise<void> => {
    expect(await t.test.app.get(JobRunner).run('experiments.decide')).toBe('done');
  };
  const get = async (path: string): Promise<{ status: number; body: Record<string, never> }> => {
    const { status, body } = await t.test.http.get(path).set('Authorization', `Bearer ${API_KEY}`);
    return { status, body: body as Record<string, never> };
  };
  const shown = async (): Promise<Record<string, unknown>> => {
    const { body } = await get('/api/v1/experiments');
    const [first] = body['data'] as unknown as { id: string }[];
    return (await get(`/api/v1/experiments/${first?.id ?? 0}`)).body;
  };

  const firstOf = async (people: string[], arm: string): Promise<number> => {
    for (const [index, id] of people.entries()) if ((await armOf(id)) === arm) return index;
    throw new Error(`nobody got ${arm}`);
  };

  it('is stopped by the owner, who chooses what goes on, and a mail says which arm it is of and why', async () => {
    const stop = async (
      id: string,
      body: object,
    ): Promise<{ status: number; body: Record<string, unknown> }> =>
      t.post(`/api/v1/experiments/${id}/stop`, body);
    await t.publish(step(`judge: clicks, holdout: 10%, ${SUBJECTS}`));
    const people = await join(20);
    const explained = async (person: string): Promise<string> =>
      JSON.stringify(
        (await get(`/api/v1/messages/explain?subscriberId=${person}&funnel=course&step=pitch`)).body,
      );
    const drawn = people[await firstOf(people, 'a')] ?? '';
    expect(await explained(drawn)).toMatch(
      /SPLIT_TEST_ARM".*arm “a” of the split test “course\/pitch”: a hash .* draws it, for 50.0 % .* 10 % are held out/,
    );
    const id = String((await shown())['id']);
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
    const before = await arms();
    const later = await join(10, 101);
    expect(await arms()).toEqual(before);
    const mails: unknown[] = await t.db.query(
      `select distinct e.subject from message m join email_template e on e.id = m.email_template_id
       where m.subscriber_id = any($1::bigint[])`,
      [later],
    );
    expect(mails).toEqual([{ subject: '{{ subscriber.firstName }}, another' }]);
    expect(await explained(later[0] ?? '')).toMatch(
      /SPLIT_TEST_OVER".*arm “b” .*owner has stopped the test and chosen/,
    );
    await decideNow();
    expect(await shown()).toMatchObject({ decision: { kind: 'stopped' } });
  });

  it('goes on with the control when it is stopped without a winner', async () => {
    await t.publish(step(`judge: clicks, ${SUBJECTS}`));
    const answer = await t.post(`/api/v1/experiments/${String((await shown())['id'])}/stop`, { arm: null });
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
    await t.publish(step(`judge: clicks, arms: [{ key: a }, { key: b, ${arm} }]`));
    const people = await join(12);
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

  it('is stopped on its page, by the owner who is logged in', async () => {
    const { http } = t.test;
    await t.publish(step(`judge: clicks, ${SUBJECTS}`));
    const id = String((await shown())['id']);
    const post = (cookie: string) =>
      http.post(`/admin/experiments/${id}/stop`).set('Cookie', cookie).type('form').send({ arm: 'b' });
    expect((await post('')).headers['location']).toBe('/admin/setup');
    const login = await http
      .post('/admin/setup')
      .type('form')
      .send({ email: 'owner@example.com', password: 'three unrelated words' });
    const cookie = String(login.headers['set-cookie']).split(';')[0] ?? '';
    const page = async (): Promise<string> =>
      (await http.get('/admin/experiments').set('Cookie', cookie).expect(200)).text;
    expect(await page()).toContain(`action="/admin/experiments/${id}/stop"`);
    expect((await post(cookie)).status).toBe(303);
    expect(await page()).not.toContain(`action="/admin/experiments/${id}/stop"`);
    expect(await shown()).toMatchObject({ decision: { kind: 'stopped', arm: 'b' } });
  });
});
