import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { ManualEnrollmentsService } from '../../../../src/sequences/enrollments/manual-enrollments.service.js';
import { SuppressionsService } from '../../../../src/subscribers/suppressions.service.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { untilWaiting, empty } from '../../../support/database.js';

const STEPS = `- { key: first, email: emails/welcome }
- { key: second, email: emails/story, delay: 1 day }`;

describe('people whom the owner puts into a sequence', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await empty(t.db, 'bulk_enrollment, segment, suppression');
    await t.clear();
  });

  const sequenceId = async (): Promise<string> => {
    const rows: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    return rows[0]?.id ?? '';
  };
  const send = async (method: 'post' | 'delete' | 'get', path: string, body: object = {}, key?: string) => {
    const request = t.test.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
    if (key !== undefined) request.set('Idempotency-Key', key);
    const { status, body: answer } = await (method === 'get' ? request : request.send(body));
    return { status, body: answer as Record<string, unknown> };
  };
  const suppress = async (email: string): Promise<unknown> =>
    t.test.app
      .get(SuppressionsService, { strict: false })
      .add(t.db.manager, { emailKey: email, scope: 'marketing', reason: 'manual', source: 'test' });

  it('begin at the first step or at one that is named, once per idempotency key, and can be taken out', async () => {
    await t.publish(STEPS);
    const path = `sequences/${await sequenceId()}/enrollments`;
    const [one, two] = [await t.person('one@example.com'), await t.person('two@example.com')];
    const added = await send('post', path, { subscriberId: one }, 'add-one');
    expect(added).toMatchObject({
      status: 201,
      body: { subscriberId: one, status: 'active', stepKey: 'first' },
    });
    expect(await send('post', path, { subscriberId: one }, 'add-one')).toEqual(added);
    const second = await send('post', path, { email: 'Two@Example.com', at: 'second' });
    expect(second).toMatchObject({
      status: 201,
      body: { stepKey: 'second', nextAt: '2026-01-06T09:00:00.000Z' },
    });
    await t.run();
    expect([await t.mails(one), await t.mails(two)]).toEqual([['first'], []]);
    const enrollment = `enrollments/${String(added.body['id'])}`;
    for (let twice = 0; twice < 2; twice++)
      expect(await send('delete', enrollment)).toMatchObject({ status: 204 });
    expect(await t.place(one)).toMatchObject({ status: 'exited', reason: 'removed by hand' });
    expect(await t.mails(one)).toEqual([]);
    expect(await send('delete', 'enrollments/999999')).toMatchObject({
      body: { code: 'ENROLLMENT_NOT_FOUND' },
    });
    expect(await send('post', path, { subscriberId: one })).toMatchObject({
      status: 409,
      body: { code: 'ENROLLMENT_REENTRY_CONFLICT' },
    });
  });

  it('join once for each event by hand, where the sequence says so', async () => {
    await t.publish('- { key: first, email: emails/welcome }', 'reentry: per event');
    const path = `sequences/${await sequenceId()}/enrollments`;
    const subscriberId = await t.person('one@example.com');
    const statuses: number[] = [];
    for (const key of ['a', 'a', 'b']) {
      statuses.push((await send('post', path, { subscriberId, key })).status);
      await t.run();
    }
    expect(statuses).toEqual([201, 409, 201]);
  });

  it('begin once for each of two events at the same moment, and for each of two mails that one look finds', async () => {
    await t.publish(
      STEPS,
      'reentry: per event\nenterOn: [{ event: order }, { clicked: ad, sequence: adverts }]',
    );
    await t.publish('- { key: ad, email: emails/story }', 'reentry: per event', 'adverts');
    const id = await t.person('buyer@example.com');
    const tell = async (key: string): Promise<unknown> =>
      (await t.post('/api/v1/events', { subscriberId: id, name: 'order', key })).body;
    const enrollments = t.test.app.get(EnrollmentsService, { strict: false });
    let second: Promise<unknown> = Promise.resolve();
    await t.db.transaction(async (manager) => {
      await enrollments.enroll(manager, {
        ...{ sequenceKey: 'course', subscriberId: id, data: {}, entryKey: 'order a' },
      });
      second = tell('b');
      await untilWaiting(t.db, 1);
    });
    expect(await second).toMatchObject({ known: false });
    expect(await t.place(id)).toMatchObject({ status: 'active', occurrence: 2 });
    await t.enroll(id, 'adverts', 'one');
    await t.enroll(id, 'adverts', 'two');
    await t.run();
    await t.hit(id, 'ad', 'click');
    await t.run();
    expect(await t.place(id)).toMatchObject({ occurrence: 4 });
    await t.run();
    expect(await t.place(id)).toMatchObject({ occurrence: 4 });
  });

  it('are refused without consent, suppressed, opted out, or named wrong', async () => {
    await t.publish(STEPS);
    const path = `sequences/${await sequenceId()}/enrollments`;
    const person = async (name: string): Promise<string> => t.person(`${name}@example.com`);
    const [gone, blocked, out, good] = [
      await person('gone'),
      await person('blocked'),
      await person('out'),
      await person('good'),
    ];
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [gone]);
    await suppress('blocked@example.com');
    await t.db.query(
      `insert into topic_opt_out (subscriber_id, topic_key, created_at) values ($1, 'course', now())`,
      [out],
    );
    const refusals: [object, number, string, RegExp][] = [
      [{ subscriberId: gone }, 409, 'SUBSCRIBER_NOT_ACTIVE_CONFLICT', /no consent/],
      [{ subscriberId: blocked }, 409, 'ADDRESS_SUPPRESSED_CONFLICT', /suppression list/],
      [{ subscriberId: out }, 409, 'TOPIC_OPTED_OUT_CONFLICT', /does not want/],
      [{ subscriberId: good, at: 'third' }, 404, 'STEP_NOT_FOUND', /at: .*there are: first, second/],
      [{ subscriberId: '999999' }, 404, 'SUBSCRIBER_NOT_FOUND', /./],
      [{ email: 'nobody@example.com' }, 404, 'SUBSCRIBER_NOT_FOUND', /email: /],
      [{}, 422, 'REQUEST_INVALID', /subscriberId/],
      [{ subscriberId: good, colour: 'red' }, 422, 'REQUEST_INVALID', /colour/],
    ];
    for (const [body, status, code, detail] of refusals) {
      const answer = await send('post', path, body);
      expect([answer.status, answer.body['code']]).toEqual([status, code]);
      expect(answer.body['detail']).toMatch(detail);
    }
    expect(await send('post', 'sequences/999999/enrollments', { subscriberId: good })).toMatchObject({
      status: 404,
    });
    expect(await t.db.query('select count(*)::int as n from enrollment')).toEqual([{ n: 0 }]);
  });

  it('come by a segment whose field nobody takes away meanwhile; one that was taken away fails alone', async () => {
    await t.publish(STEPS);
    const inside = await t.person('inside@example.com', { fields: { tier: 'gold' }, tags: ['vip'] });
    const field = await send('post', 'fields', { key: 'tier', type: 'text', label: 'Tier' });
    const conditions = { field: 'tier', op: 'is', value: 'gold' };
    await send('post', 'segments', { key: 'golden', title: 'Golden', conditions });
    await send('post', 'segments', { key: 'all', title: 'All', conditions: { tag: 'vip' } });
    const bulk = `sequences/${await sequenceId()}/bulk-enrollments`;
    expect(await send('post', bulk, { segment: 'golden' })).toMatchObject({ status: 202 });
    await t.db.query(`delete from segment where key = 'golden'`);
    expect(await send('delete', `fields/${String(field.body['id'])}`)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('is used by the bulk enrollment "golden"') as string },
    });
    await t.db.query(`delete from subscriber_field where key = 'tier'`);
    expect(await send('post', bulk, { segment: 'all' })).toMatchObject({ status: 202 });
    await t.test.app
      .get(JobRunner, { strict: false })
      .run('sequences.enroll-segments')
      .catch(() => undefined);
    expect(await send('get', 'bulk-enrollments')).toMatchObject({
      body: {
        data: [
          { segment: 'all', state: 'done' },
          { state: 'failed', reason: expect.stringContaining('tier') as string },
        ],
      },
    });
    expect(await t.place(inside)).toMatchObject({ step: 'first' });
  });

  it('are put in without a look at the enrollments of everybody', async () => {
    await t.publish(STEPS);
    const id = await sequenceId();
    const manual = t.test.app.get(ManualEnrollmentsService, { strict: false });
    let key = '';
    let found: Promise<void> = Promise.resolve();
    await t.db.transaction(async (manager) => {
      await manager.query('lock table enrollment in access exclusive mode');
      found = manual.sequence(id).then((sequence) => void (key = sequence.key));
      await becomesTrue(async () => Promise.resolve(key !== ''), 20_000);
      expect(key).toBe('course');
    });
    await found;
  });

  it('come by a segment, in pages that go on after a crash, with counts', async () => {
    await t.publish(STEPS);
    await t.db.query(
      `insert into subscriber (email, email_key, status, fields, created_at, updated_at)
       select 'p' || n || '@example.com', 'p' || n || '@example.com', case when n <= 7 then 'unsubscribed' else 'active' end,
         jsonb_build_object('grade', case when n <= 1205 then 'in' else 'out' end), now(), now() from generate_series(1, 1300) n`,
    );
    await suppress('p1000@example.com');
    const inside = await t.person('inside@example.com', { fields: { grade: 'in' } });
    await t.enroll(inside);
    await send('post', 'fields', { key: 'grade', type: 'text', label: 'Grade' });
    const made = await send('post', 'segments', {
      ...{ key: 'those', title: 'Those', conditions: { field: 'grade', op: 'is', value: 'in' } },
    });
    expect(made).toMatchObject({ status: 201 });
    const bulk = `sequences/${await sequenceId()}/bulk-enrollments`;
    expect(await send('post', bulk, { segment: 'nobody' })).toMatchObject({
      body: { code: 'SEGMENT_NOT_FOUND' },
    });
    expect(await send('post', bulk, { segment: 'those', at: 'x' })).toMatchObject({
      body: { code: 'STEP_NOT_FOUND' },
    });
    const started = await send('post', bulk, { segment: 'those', at: 'second' });
    expect(started).toMatchObject({ status: 202, body: { state: 'running', counts: { enrolled: 0 } } });
    const late = await t.person('late@example.com', { fields: { level: 'in' } });
    // A worker that dies in the second page leaves the first one, and no half of its own.
    await t.db.query(
      `create function die() returns trigger language plpgsql as $$ begin
         if (select count(*) from enrollment) > 1100 then raise exception 'killed'; end if; return null; end $$;
       create trigger die after insert on enrollment execute function die();`,
    );
    const runner = t.test.app.get(JobRunner, { strict: false });
    const id = String(started.body['id']);
    try {
      await runner.run('sequences.enroll-segments').catch(() => undefined);
      expect(await send('get', `bulk-enrollments/${id}`)).toMatchObject({
        body: { state: 'running', counts: { enrolled: 992 } },
      });
    } finally {
      await t.db.query('drop trigger die on enrollment; drop function die();');
    }
    await runner.run('sequences.enroll-segments');
    const counts = { enrolled: 1197, notActive: 7, suppressed: 1, optedOut: 0, mayNotJoin: 1 };
    expect(await send('get', `bulk-enrollments/${id}`)).toMatchObject({
      body: { state: 'done', counts, reason: null },
    });
    expect(await t.place(late)).toBeUndefined();
    const rows: unknown[] = await t.db.query(
      `select count(*)::int as n, count(distinct subscriber_id)::int as people from enrollment where step_key = 'second'`,
    );
    expect(rows).toEqual([{ n: 1197, people: 1197 }]);
    const again = await send('post', bulk, { segment: 'those' });
    await send('post', `bulk-enrollments/${String(again.body['id'])}/cancel`);
    await runner.run('sequences.enroll-segments');
    expect(await send('get', 'bulk-enrollments')).toMatchObject({
      body: { data: [{ state: 'cancelled', counts: { mayNotJoin: 0 } }, { state: 'done' }] },
    });
  });
});
