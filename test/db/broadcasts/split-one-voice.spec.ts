import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Split } from '../../../src/broadcasts/split.js';
import type { PostOffice } from '../delivery/post-office.js';
import { openSplitCourse, SUBJECTS, type SplitCourse } from '../experiments/split-course.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

/** Whoever has a domain has any number of mailboxes: half of what stops an arm has to come from others, as of a broadcast. */
const COMPLAIN = `insert into bounce (dedupe_key, message_id, broadcast_id, verdict, reason, source, trusted, received_at)
  select 'complaint:' || m.id, m.id, m.broadcast_id, 'complaint', 'abuse', 'smtp', true, $2 from message m where m.id = any($1::bigint[])`;

describe('an arm of a broadcast and the complaints of one person', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const RAILS: Split = { ...SPLIT, testPercent: 90, waitMinutes: 60, guardRails: { complaints: '0.3%' } };
  const mailsOfB = async (): Promise<string[]> => {
    const rows: { id: string }[] = await t.db.query(
      `select id from message where arm = 1 and state = 'accepted' order by id`,
    );
    return rows.map(({ id }) => id);
  };
  const started = async (): Promise<string> => {
    await desk.people(200);
    const { id } = await desk.broadcasts.create(desk.draft({ split: RAILS }));
    await desk.broadcasts.start(id, null, { local: null, spreadMinutes: 100 });
    await desk.planner.run(FOREVER);
    t.clock.advance(50 * 60_000);
    await t.sendDue();
    return id;
  };
  const complain = async (ids: readonly string[], domain: (n: number) => string): Promise<void> => {
    for (const [n, id] of ids.entries())
      await t.db.query('update message set address = $2 where id = $1', [id, `me${n}@${domain(n)}`]);
    await t.db.query(COMPLAIN, [ids, t.clock.now()]);
    await desk.planner.run(FOREVER);
  };

  it('is not stopped by five mailboxes of one domain, which stopped the arm, and is by five of several', async () => {
    const id = await started();
    const mails = await mailsOfB();
    await complain(mails.slice(0, 5), () => 'eve.example');
    expect((await desk.broadcasts.get(id)).stoppedArms).toEqual([]);
    expect((await desk.broadcasts.get(id)).arms?.[1]).toMatchObject({ complaints: 5 });
    t.clock.advance(10 * 60_000);
    await complain(mails.slice(5, 10), (n) => `n${n}.example`);
    expect((await desk.broadcasts.get(id)).stoppedArms).toMatchObject([{ arm: 1, rail: 'complaints' }]);
  });

  it('is stopped by them where half of its readers are there: it is about these', async () => {
    const id = await started();
    await complain((await mailsOfB()).slice(0, 5), () => 'example.com');
    expect((await desk.broadcasts.get(id)).stoppedArms).toMatchObject([{ arm: 1, rail: 'complaints' }]);
  });
});

describe('an arm of a sequence and the complaints of one person', () => {
  let t: SplitCourse;
  beforeAll(async () => {
    t = await openSplitCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  it('is not stopped by five mailboxes of one domain, which ended the test, and is by five of several', async () => {
    await t.publish(t.step(`judge: clicks, guardRails: { complaints: 0.3% }, ${SUBJECTS}`));
    await t.join(200);
    await t.db.query(`update message set state = 'accepted', accepted_at = $1`, [t.clock.now()]);
    const rows: { id: string; subscriberId: string }[] = await t.db.query(
      `select m.id, m.subscriber_id as "subscriberId" from experiment_assignment a
       join message m on m.enrollment_id = a.enrollment_id where a.arm = 'b' order by m.id`,
    );
    const complain = async (of: typeof rows, domain: (n: number) => string): Promise<void> => {
      for (const [n, { subscriberId }] of of.entries())
        await t.db.query('update subscriber set email = $2, email_key = $2 where id = $1', [
          subscriberId,
          `me${n}@${domain(n)}`,
        ]);
      await t.db.query(COMPLAIN, [of.map(({ id }) => id), t.clock.now()]);
      await t.decideNow();
    };
    await complain(rows.slice(0, 5), () => 'eve.example');
    expect(await t.shown()).toMatchObject({ state: 'running' });
    await complain(rows.slice(5, 10), (n) => `n${n}.example`);
    expect(await t.shown()).toMatchObject({ state: 'decided', decision: { because: 'guard_rails' } });
  });
});
