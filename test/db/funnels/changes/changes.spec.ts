import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';
import { untilWaiting } from '../../../support/database.js';

const mail = (key: string): string => `- { key: ${key}, email: emails/story, delay: 1 day }`;
const steps = (...keys: string[]): string => keys.map(mail).join('\n');
const text = (...keys: string[]): string => funnelText(steps(...keys));
type Answer = { status: number; body: Record<string, unknown> };

describe('a funnel that is changed while people are in it', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const call = async (method: 'get' | 'put' | 'post', path: string, body?: object): Promise<Answer> => {
    const answer = await t.test.http[method](`/api/v1/funnels/${path}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send(body);
    return { status: answer.status, body: answer.body as Record<string, unknown> };
  };
  const put = async (yaml: string, more: object = {}): Promise<Answer> =>
    call('put', 'course', { yaml, ...more });
  const days = async (from: number, to: number): Promise<void> => {
    for (let day = from; day <= to; day++) await t.at(`2026-01-${String(day).padStart(2, '0')}T09:00:00Z`);
  };
  /** One has had a, two have had a and b, of a, b, c. */
  const started = async (): Promise<string[]> => {
    await t.publish(steps('a', 'b', 'c'));
    const early = [await t.person('one@example.com'), await t.person('two@example.com')];
    for (const id of early) await t.enroll(id);
    await days(6, 6);
    const late = await t.person('three@example.com');
    await t.enroll(late);
    await days(7, 7);
    return [...early, late];
  };
  const everything = async (): Promise<unknown> =>
    t.db.query(`select (select json_agg(e order by id) from enrollment e) as people,
      (select json_agg(v order by id) from sequence_version v) as versions, (select json_agg(f) from funnel f) as funnels,
      (select json_agg(v order by version) from funnel_version v) as history, (select count(*) from email_template) as mails,
      (select json_agg(f) from form f) as forms, (select json_agg(p) from product p) as products`);

  it('leaves its old addresses to others: a new funnel could not take the slug of what another had dropped', async () => {
    const { http } = t.test;
    await t.publish(steps('a'));
    const moved = text('a').replace('slug: course', 'slug: course-new').replaceAll('course-kit', 'new-kit');
    const other = funnelText(steps('a'), '', 'other')
      .replace('slug: other', 'slug: course')
      .replaceAll('other-kit', 'course-kit');
    const funnels = t.test.app.get(FunnelsService);
    await expect(funnels.apply(other, null, 'other.yaml')).rejects.toThrow('belongs to the funnel "course"');
    await funnels.apply(moved, null, 'course.yaml');
    // Old links lead somewhere while nobody has taken them.
    expect((await http.get('/p/course').expect(302)).headers['location']).toBe('/p/course-new');
    for (const path of ['/offer/course-kit', '/checkout/course-kit'])
      expect((await http.get(path).expect(410)).text).toMatch(/This offer has ended[\s\S]*Ada/);
    await http.get('/offer/never-there').expect(404);

    await funnels.apply(other, null, 'other.yaml');
    expect((await http.get('/p/course').expect(200)).text).toContain('Get it');
    await http.get('/offer/course-kit').expect(200);
    await expect(funnels.apply(text('a'), null, 'course.yaml')).rejects.toThrow(
      'belongs to the funnel "other"',
    );
    await http.get('/p/course-new').expect(200);
  });

  it('is planned in words: what changes, and for whom; nothing is written', async () => {
    await started();
    const before = await everything();
    const { body } = await put(text('a', 'x', 'b', 'c'), { dryRun: true });
    expect(body['words']).toEqual([
      '+ step x',
      'people of sequence course: 3 stay in the version they joined; in the new one, forward-only:',
      '    2 are past step x; 1 would newly get step x',
    ]);
    expect(body['people']).toMatchObject([
      {
        ...{ sequence: 'course', choice: 'stay', people: 3 },
        gains: [{ step: 'x', people: 1 }],
        steps: [{ step: 'x', isNew: true, ahead: 1, past: 2 }],
      },
    ]);
    expect(await everything()).toEqual(before);
    // A price is part of what the mails of a version promise; a headline of the form concerns nobody.
    const calm = await put(text('a', 'b', 'c').replace('Get it', 'Get it now'), { dryRun: true });
    expect(calm.body).toMatchObject({ people: [], words: ['~ form course: headline Get it → Get it now'] });
  });

  it('does what was planned, and leaves people in their version until a choice is made', async () => {
    const [one, , three] = await started();
    const plan = (await put(text('a', 'x', 'b', 'c'), { dryRun: true })).body;
    const applied = (await put(text('a', 'x', 'b', 'c'), { plan: plan['token'] })).body;
    expect(applied).toEqual({ ...plan, applied: true });
    // The choice may come later, when the file says nothing new.
    const movePeople = { mode: 'forward-only' };
    const moved = (await put(text('a', 'x', 'b', 'c'), { movePeople })).body;
    expect(moved['words']).toEqual([
      'people of sequence course: 3 are taken to the new version, forward-only:',
      '    1 newly gets step x',
      '    1 goes from b to x',
    ]);
    await days(8, 12);
    expect(await t.mails(one ?? '')).toEqual(['a', 'b', 'c']);
    expect(await t.mails(three ?? '')).toEqual(['a', 'x', 'b', 'c']);
  });

  it.each([true, false])(
    'refuses a file of another funnel than the address says: dryRun %j',
    async (dryRun) => {
      const { status, body } = await call('put', 'other', { yaml: text('a'), dryRun });
      expect({ status, code: body['code'] }).toEqual({ status: 422, code: 'FUNNEL_KEY_INVALID' });
      expect(body['detail']).toBe('yaml: funnel is "course", the address says "other"');
      expect(await t.db.query('select key from funnel')).toEqual([]);
    },
  );

  it('takes people along with the change as its plan said', async () => {
    const [one] = await started();
    const movePeople = { mode: 'catch-up', within: '2 days' };
    const plan = (await put(text('a', 'x', 'b', 'c'), { movePeople, dryRun: true })).body;
    expect(plan['words']).toContain('    3 newly get step x');
    const applied = (await put(text('a', 'x', 'b', 'c'), { movePeople, plan: plan['token'] })).body;
    expect(applied).toEqual({ ...plan, applied: true });
    await t.run();
    await days(8, 10);
    expect(await t.mails(one ?? '')).toEqual(['a', 'b', 'x', 'c']);
  });

  it.each<[string, (token: string) => Promise<Answer>, string]>([
    [
      'another funnel than was planned',
      async (plan) => put(text('a', 'y', 'b', 'c'), { plan }),
      'is not the one that was planned',
    ],
    [
      'a funnel that was changed since',
      async (plan) => {
        await t.publish(steps('a', 'b'));
        return put(text('a', 'x', 'b', 'c'), { plan });
      },
      'the funnel in the database was changed since',
    ],
    [
      'people whom the plan left where they are',
      async (plan) => put(text('a', 'x', 'b', 'c'), { plan, movePeople: { mode: 'forward-only' } }),
      'the plan left people where they are',
    ],
    ['a token of nothing', async () => put(text('a'), { plan: 'plan-1' }), 'use the token of a plan'],
  ])('refuses a plan over %s, and changes nothing', async (_, apply, message) => {
    await started();
    const { token } = (await put(text('a', 'x', 'b', 'c'), { dryRun: true })).body;
    const people = await t.db.query('select * from enrollment order by id');
    const answer = await apply(String(token));
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(JSON.stringify(answer.body)).toContain(message);
    expect(await t.db.query('select * from enrollment order by id')).toEqual(people);
    expect(JSON.stringify(await everything())).not.toMatch(/"key":"[xy]"/);
  });

  it('is rolled back with the mails of today where those of then were not kept, and says so', async () => {
    await started();
    await put(text('a', 'x', 'b', 'c'));
    await t.db.query('update funnel_version set parts = null where version = 1');
    const words = async (dryRun: boolean): Promise<unknown> => {
      const { body } = await call('post', 'course/rollback', { dryRun });
      expect(body).toMatchObject({ to: 1, applied: !dryRun });
      return (body['words'] as string[]).slice(0, 2);
    };
    const then =
      'Version 1 was applied before mails and files were kept with a version: those of today are used';
    expect(await words(true)).toEqual([`${then}, and are what they were`, '- step x']);
    // What the plan of a rollback compares with the present version has not changed since; it has since the first.
    await t.db.query(
      `update funnel_version set definition = jsonb_set(definition::jsonb, '{sources,emails/story}', '"other"') where version = 1`,
    );
    const changed = `${then}, and these are not what they were: emails/story`;
    for (const dryRun of [true, false]) expect(await words(dryRun)).toEqual([changed, '- step x']);
  });

  it('is rolled back with the mails of then, and the people stay or go along', async () => {
    const [, , three] = await started();
    // The mail as it was at the first version, which the disk does not have any more.
    const [old]: { id: string }[] = await t.db.query(
      `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
       select key, 'x', mjml_source, 'As it was', html, body_text, created_at from email_template where key = 'emails/story' limit 1
       returning id`,
    );
    await t.db.query(
      `update funnel_version set parts = jsonb_set(parts, '{mails,emails/story}', to_jsonb($1::text)) where version = 1`,
      [old?.id],
    );
    await put(text('a', 'x', 'b', 'c'), { movePeople: { mode: 'forward-only' } });
    const dry = await call('post', 'course/rollback', { dryRun: true });
    expect(dry.body).toMatchObject({
      ...{ to: 1, applied: false },
      words: [
        '- step x',
        'people of sequence course: 3 stay in the version they joined; in the new one, forward-only:',
        '    1 would no longer get step x',
      ],
    });
    const back = { movePeople: { mode: 're-map', steps: { x: 'b' } } };
    expect((await call('post', 'course/rollback', back)).body).toMatchObject({ to: 1, applied: true });
    expect(await t.place(three ?? '')).toMatchObject({ step: 'b' });
    await days(8, 9);
    const [sent]: { id: string }[] = await t.db.query(
      `select email_template_id as id from message where subscriber_id = $1 and step_key = 'b'`,
      [three],
    );
    expect(sent?.id).toBe(old?.id);
    // A rollback is rolled back, too; what the first version said is that version of the sequence again.
    await call('post', 'course/rollback', {});
    expect((await call('get', 'course/versions')).body['data']).toMatchObject([
      { version: 4, restored: 2, changes: ['+ step x'] },
      { version: 3, restored: 1, changes: ['- step x'] },
      { version: 2, restored: null, changes: ['+ step x'] },
      { version: 1, restored: null, changes: expect.arrayContaining(['+ step a']) },
    ]);
    const page = (await call('get', 'course/versions?limit=3')).body;
    expect(
      (await call('get', `course/versions?limit=3&cursor=${String(page['nextCursor'])}`)).body,
    ).toMatchObject({ data: [{ version: 1 }], nextCursor: null });
  });

  it('is the same version of its sequence again when it says the same again', async () => {
    const [one] = await started();
    await put(text('a', 'x', 'b', 'c'));
    await put(text('a', 'b', 'c'));
    const [{ count, current } = { count: 0, current: 0 }]: { count: number; current: number }[] = await t.db
      .query(`select count(*)::int as count, max(v.version) filter (where v.id = q.current_version_id) as current
        from sequence_version v join sequence q on q.id = v.sequence_id where q.key = 'course'`);
    expect({ count, current }).toEqual({ count: 2, current: 1 });
    expect((await put(text('a', 'b', 'c'), { movePeople: { mode: 'forward-only' } })).body['people']).toEqual(
      [],
    );
    await put(text('a', 'z'));
    await days(8, 8);
    expect(await t.mails(one ?? '')).toEqual(['a', 'b', 'c']);
  });

  it.each([
    ['course', {}, 404, 'has no version 0; there is only version 1'],
    ['course', { to: 7 }, 404, 'has no version 7'],
    ['course', { to: 0 }, 422, 'from 1'],
    ['nowhere', {}, 404, 'There is no funnel with the key nowhere'],
  ])('refuses to roll %s back %j', async (key, body, status, message) => {
    await t.publish(steps('a'));
    const answer = await call('post', `${key}/rollback`, body);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).toContain(message);
  });

  it('refuses a version that cannot be any more', async () => {
    await t.publish(steps('a'), '', 'other');
    await t.publish(`${steps('a')}\n- { key: on, move: other }`);
    await t.publish(steps('a'));
    await t.db.query(`delete from sequence where key = 'other'`);
    const answer = await call('post', 'course/rollback', {});
    expect(answer.status).toBe(422);
    expect(answer.body['detail']).toBe(
      'course version 1: sequence.steps.1.move: there is no sequence "other"',
    );
  });

  it('refuses a version whose mail hides its way out, as it was allowed once, and says which', async () => {
    await t.publish(steps('a'));
    await t.publish(steps('a', 'b'));
    const [before]: { id: string }[] = await t.db.query(
      `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at, is_judged)
       select key, 'hides', '<mjml>\n{{ unsubscribeUrl }}', subject, replace(html, '<body', '<body hidden'), body_text, created_at, false
       from email_template where key = 'emails/story' limit 1 returning id`,
    );
    await t.db.query(
      `update funnel_version set parts = jsonb_set(parts, '{mails,emails/story}', to_jsonb($1::text)) where version = 1`,
      [before?.id],
    );
    const then = await everything();
    for (const dryRun of [true, false]) {
      const answer = await call('post', 'course/rollback', { dryRun });
      expect([answer.status, answer.body['detail']]).toEqual([
        422,
        'course version 1: sequence.steps.0.email: templates/emails/story.mjml:2: readers cannot see the link to unsubscribe: <body> has the attribute hidden; layouts/mail-foot-marketing.mjml shows both',
      ]);
    }
    expect(await everything()).toEqual(then);
  });

  it('is written one object at a time, too, as a change of its funnel', async () => {
    await t.publish(steps('a'));
    const api = async (method: 'put' | 'delete', path: string, body?: object): Promise<Answer> => {
      const answer = await t.test.http[method](`/api/v1/${path}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send(body);
      return { status: answer.status, body: answer.body as Record<string, unknown> };
    };
    const price = { amountMinor: 1990, currency: 'EUR' };
    const funnel = 'course';
    const words = async (answer: Promise<Answer>): Promise<unknown> => (await answer).body['words'];
    expect(
      await words(api('put', 'products/extra', { funnel, name: 'Extra', price, licence: true })),
    ).toEqual(['+ product extra']);
    expect(await words(api('put', 'products/extra', { funnel, name: 'More', price, licence: true }))).toEqual(
      ['~ product extra: name Extra → More'],
    );
    expect(await words(api('put', 'offers/extra', { funnel, product: 'extra', discountBps: 1250 }))).toEqual([
      '+ offer extra',
    ]);
    const form = { funnel, headline: 'New', consent: 'Yes, please', dryRun: true };
    expect((await api('put', 'forms/course', form)).body).toMatchObject({
      applied: false,
      words: ['~ form course: headline Get it → New', '~ form course: consent Send it to me → Yes, please'],
    });
    const read = async (path: string): Promise<number> =>
      (await t.test.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`)).status;
    expect(
      await Promise.all(['forms/course', 'products/extra', 'offers/extra', 'forms/none'].map(read)),
    ).toEqual([200, 200, 200, 404]);
    const sequence = {
      steps: [
        { key: 'a', email: 'emails/story', delay: '1 day' },
        { key: 'b', email: 'emails/story' },
      ],
    };
    expect(await words(api('put', 'sequences/course', { sequence }))).toEqual(['+ step b']);
    expect((await call('get', 'course')).body).toMatchObject({
      version: 5,
      definition: {
        products: [{ key: 'course-kit' }, { key: 'extra', name: 'More', price: '19.90 EUR' }],
        offers: [{ key: 'course-kit' }, { key: 'extra', discount: '12.5%' }],
      },
    });
    expect(await api('delete', 'products/extra')).toMatchObject({
      status: 422,
      body: {
        code: 'FUNNEL_INVALID',
        detail: expect.stringContaining('offers.1.product: there is no product "extra"'),
      },
    });
    expect(await words(api('delete', 'offers/extra'))).toEqual(['- offer extra']);
    expect(await words(api('delete', 'products/extra'))).toEqual(['- product extra']);
    expect((await api('delete', 'products/extra')).status).toBe(404);
    expect((await api('put', 'products/x', { funnel: 'nowhere', name: 'X', price })).status).toBe(404);
    expect((await api('put', 'products/x', { funnel, name: 'X', price: '1 EUR' })).status).toBe(422);
    const broken = await api('put', 'sequences/course', {
      sequence: { steps: [{ key: 'a', teleport: 'home' }] },
    });
    expect(broken.body['detail']).toContain('sequence.steps.0.teleport: "teleport" is not an option here');
    const lint = await call('post', 'lint', {
      yaml: text('a').replace('delay: 1 day', 'expires: 2020-01-01'),
    });
    expect(lint.body).toMatchObject({ ok: true, findings: [{ rule: 'date-passed', line: 8 }, {}] });
    const schema = await t.test.http.get('/schema/funnel.json').expect(200);
    expect(schema.headers['content-type']).toContain('application/schema+json');
  });

  it('keeps the product of one request when another writes the same funnel at the same time', async () => {
    await t.publish(steps('a'));
    const put = async (key: string): Promise<Answer> => {
      const price = { amountMinor: 1990, currency: 'EUR' };
      const answer = await t.test.http
        .put(`/api/v1/products/${key}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ funnel: 'course', name: key, price });
      return { status: answer.status, body: answer.body as Record<string, unknown> };
    };
    const held = t.db.createQueryRunner();
    await held.startTransaction();
    await held.query('lock table funnel_version in share mode');
    const answers = Promise.all(['one', 'two'].map(put));
    await untilWaiting(t.db, 2);
    await held.commitTransaction();
    await held.release();
    const [good, ...rest] = (await answers).toSorted((a, b) => a.status - b.status);
    expect(good?.status).toBe(200);
    expect(rest).toMatchObject([{ status: 409, body: { code: 'FUNNEL_PLAN_CONFLICT' } }]);
    const lost = (await answers)[0] === good ? 'two' : 'one';
    expect((await put(lost)).body['words']).toEqual([`+ product ${lost}`]);
    const products = (await call('get', 'course')).body['definition'];
    expect(products).toMatchObject({ products: [{ key: 'course-kit' }, {}, { key: lost }] });
  });
});
