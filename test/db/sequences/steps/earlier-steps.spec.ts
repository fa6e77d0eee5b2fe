import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { API_KEY } from '../../../support/app.js';
import { openSplitCourse, type SplitCourse } from '../../experiments/split-course.js';
import { empty } from '../../../support/database.js';

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
const pitch = '- { key: pitch, offer: course-kit, email: emails/offer, deadline: 12 hours }';
const asked = `
- key: kind
  switch: [{ if: { step: pitch, was: ran }, then: [{ key: sold, tag: pitched }] }, { if: { step: pitch, was: skipped }, then: [{ key: not, tag: spared }] }]
  else: [{ key: lost, tag: neither }]`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('what came of an earlier step', () => {
  let t: SplitCourse;
  beforeAll(async () => {
    t = await openSplitCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await empty(t.db, 'experiment, orders');
    await t.clear();
  });

  const join = async (address = 'reader@example.com'): Promise<string> => {
    const id = await t.person(address);
    await t.enroll(id);
    await t.run();
    return id;
  };

  it('is that it was skipped when its pitch was stopped as the product was bought: it was neither ran nor skipped', async () => {
    await t.publish(`${pitch}\n- { key: rest, wait: 2 days }${asked}`);
    const id = await join();
    const other = await join('other@example.com');
    const enrollments = t.test.app.get(EnrollmentsService, { strict: false });
    await t.db.transaction(async (manager) =>
      enrollments.exitOnPurchase(manager, id, { productKey: 'course-kit', orderId: '1' }),
    );
    await t.db.query(`update message set state = 'accepted' where subscriber_id = $1`, [other]);
    await t.at('2026-01-07T09:00:00Z');
    expect(await t.outcomes(id)).toMatchObject({ kind: 'case 2', not: 'ran' });
    expect(await t.outcomes(other)).toMatchObject({ kind: 'case 1', sold: 'ran' });
  });

  it('is that it was skipped when its mail waited until its price was over, and never went', async () => {
    await t.publish(`${pitch}\n- { key: rest, wait: 2 days }${asked}`);
    const id = await join();
    t.clock.set('2026-01-06T09:00:00Z');
    await t.test.app.get(JobRunner).run('delivery.send-due');
    expect(await t.db.query('select state from message')).toEqual([{ state: 'expired' }]);
    await t.at('2026-01-07T09:00:00Z');
    expect(await t.outcomes(id)).toMatchObject({ not: 'ran' });
  });

  it('may be asked of a mail that a goal stops', async () => {
    await t.publish(`${mail('one')}
- { key: later, wait: 1 day }
- { key: there, goal: { tag: client } }
- { key: rest, wait: 1 hour }
- { key: kind, if: { step: one, was: skipped }, then: [${mail('instead').slice(2)}] }`);
    const id = await join();
    const other = await join('other@example.com');
    await t.db.query(`update message set state = 'accepted' where subscriber_id = $1`, [other]);
    for (const one of [id, other]) await t.post(`/api/v1/subscribers/${one}/tags`, { name: 'client' });
    await t.at('2026-01-05T10:00:00Z');
    expect([await t.mails(id), await t.mails(other)]).toEqual([['instead'], ['one']]);
  });

  it('is the arm that somebody got when they came again, in place of one that was stopped for harm', async () => {
    const split = `judge: clicks, within: 24 hours, guardRails: { unsubscribes: 1% }, arms: [{ key: a }, { key: b, subject: Angry }]`;
    const ask = `- { key: rest, wait: 1 hour }\n- { key: which, if: { split: pitch, arm: b }, then: [{ key: bees, tag: b }] }`;
    await t.publish(`${t.step(split)}\n${ask}`, 'reentry: always');
    const people = await t.join(200);
    await t.db.query(`update message set state = 'accepted', accepted_at = $1`, [t.clock.now()]);
    await t.db.query(
      `insert into consent_event (subscriber_id, kind, purpose, at)
       select subscriber_id, 'withdrawn', 'marketing', assigned_at from experiment_assignment where arm = 'b' and subscriber_id % 4 = 0`,
    );
    await t.at('2026-01-07T09:00:00Z');
    await t.decideNow();
    expect(await t.shown()).toMatchObject({ decision: { because: 'guard_rails', arm: 'a' } });
    const before = await t.arms();
    const bees = await Promise.all(people.map(async (id) => ((await t.armOf(id)) === 'b' ? id : '')));
    const id = bees.find((one) => one !== '') ?? '';
    expect(await t.outcomes(id)).toMatchObject({ which: 'then' });
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-07T10:00:00Z');
    const again: { outcome: string }[] = await t.db.query(
      `select s.outcome from enrollment_step s join enrollment e on e.id = s.enrollment_id
       where e.subscriber_id = $1 and e.occurrence = 2 and s.step_key = 'which'`,
      [id],
    );
    expect(again).toEqual([{ outcome: 'else' }]);
    // Of those it was tried on, they stay one.
    expect(await t.arms()).toEqual(before);
    const [last]: { id: string }[] = await t.db.query(
      'select max(id) as id from message where subscriber_id = $1',
      [id],
    );
    const why = await t.get(`/api/v1/messages/${last?.id ?? ''}/explain`);
    expect(JSON.stringify(why.body)).toMatch(/SPLIT_TEST_ARM_INSTEAD.*arm “a”.*this time/);
  });

  it('leaves who has bought for good what they own when a membership by the same product is over', async () => {
    await t.publish(`${mail('one')}\n${pitch}`);
    const [product]: { id: string }[] = await t.db.query(`select id from product where key = 'course-kit'`);
    const [offer]: { id: string }[] = await t.db.query(`select id from offer where slug = 'course-kit'`);
    const buys = async (name: string, terms: (string | null)[], isTakenBack = false): Promise<string> => {
      const id = await t.person(`${name}@example.com`, { tags: ['bought:course-kit'] });
      for (const [nth, term] of terms.entries())
        await t.db.query(
          `with o as (insert into orders (number, funnel_key, offer_id, subscriber_id, email, amount_minor, currency, provider, status, created_at, paid_at)
             values ($1, 'course', $2, $3, 'x@example.com', 4900, 'EUR', 'test', 'paid', now(), now()) returning id)
           insert into order_line (order_id, product_id, kind, full_amount_minor, amount_minor, membership, taken_back_at)
           select id, $4, 'main', 4900, 4900, $5, case when $6 and $5::text is null then now() end from o`,
          [`${name}-${nth}`, offer?.id, id, product?.id, term, isTakenBack],
        );
      await t.db.query(
        `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
         values ($1, $2, 'ended', '2025-01-01', '2026-01-01', now(), now())`,
        [id, product?.id],
      );
      await t.enroll(id);
      return id;
    };
    const once = await buys('once', [null, '12 months']);
    const member = await buys('member', ['12 months']);
    const back = await buys('back', [null, '12 months'], true);
    await t.run();
    expect([await t.mails(once), await t.outcomes(once)]).toEqual([
      ['one'],
      { pitch: 'already owns course-kit' },
    ]);
    for (const id of [member, back]) expect(await t.mails(id)).toEqual(['one', 'pitch']);
  });

  it('does not take the hours from a mail behind a step that somebody has had: it went out at night', async () => {
    const window = 'window: { days: [mon, tue, wed, thu, fri, sat, sun], from: "08:00", to: "20:00" }';
    const rest = '- { key: rest, wait: 30 days }';
    await t.publish(`${mail('one')}\n${mail('old')}\n${rest}`, window);
    const id = await join();
    const pitchAtOnce = '- { key: pitch, offer: course-kit, email: emails/offer }';
    const added = mail('new', ', delay: 1 hour');
    await t.publish(`${mail('one')}\n${added}\n${mail('old')}\n${pitchAtOnce}\n${rest}`, window);
    const move = { mode: 'catch-up', within: '2 days', dryRun: false };
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    const answer = await t.test.http
      .post(`/api/v1/sequences/${sequence?.id ?? ''}/move-people`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send(move);
    expect(answer.status).toBe(200);
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'old', 'new', 'pitch']);
    expect(
      await t.db.query(`select step_key as step from message where send_hours_id is null order by id`),
    ).toEqual([{ step: 'one' }, { step: 'old' }]);
  });
});
