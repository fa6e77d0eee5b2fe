import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openSplitCourse, SUBJECTS, type SplitCourse } from './split-course.js';

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

  it('is stopped on its page, by the owner who is logged in', async () => {
    const { http } = t.test;
    await t.publish(t.step(`judge: clicks, ${SUBJECTS}`));
    const id = String((await t.shown())['id']);
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
    expect(await t.shown()).toMatchObject({ decision: { kind: 'stopped', arm: 'b' } });
  });
});
