import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EmailNode, SequenceDefinition } from '../../../../src/sequences/steps/definition.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { HitWaitsService } from '../../../../src/sequences/events/hit-waits.service.js';
import { LateHitsService } from '../../../../src/sequences/events/late-hits.service.js';
import { SequencesService } from '../../../../src/sequences/sequences.service.js';
import { parseDuration } from '../../../../src/values/duration.js';
import { OPENED_AT, openPostOffice, SENDER, type PostOffice } from '../../delivery/post-office.js';
import { untilWaiting, empty } from '../../../support/database.js';

const EUR = (amountMinor: number) => ({ amountMinor, currency: 'EUR' });
const OFFER = { slug: 'kit', title: 'Kit', price: EUR(3430), fullPrice: EUR(4900), discountBps: 3000 };
const DAY_MS = 86_400_000;

describe('people in a sequence', () => {
  let t: PostOffice;
  let enrollments: EnrollmentsService;
  let sequences: SequencesService;
  let templateId: string;
  beforeAll(async () => {
    t = await openPostOffice();
    enrollments = t.app.get(EnrollmentsService, { strict: false });
    sequences = t.app.get(SequencesService, { strict: false });
    templateId = await t.templates.publish(t.db.manager, 'emails/story');
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    t.clock.set(OPENED_AT);
    t.sink.mails.length = 0;
    await empty(t.db, 'message, suppression, subscriber, sequence');
  });

  const email = (key: string, next: string | null, change: Partial<EmailNode> = {}): EmailNode => ({
    kind: 'email',
    key,
    templateKey: 'emails/story',
    templateId,
    delay: null,
    at: null,
    offer: null,
    deadline: null,
    next,
    ...change,
  });
  const day = { delay: parseDuration('1 day') };
  const demo = (): SequenceDefinition => ({
    window: { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '19:00' },
    exitOn: ['kit'],
    first: 'welcome',
    nodes: [
      email('welcome', 'story'),
      email('story', 'pick', { delay: parseDuration('2 days'), at: '09:30' }),
      {
        kind: 'branch',
        key: 'pick',
        clicked: 'story',
        within: parseDuration('3 days'),
        then: 'deep-dive',
        else: 'nudge',
      },
      email('deep-dive', 'offer', day),
      email('nudge', 'offer', day),
      email('offer', null, { ...day, kind: 'offer', offer: OFFER, deadline: parseDuration('72 hours') }),
    ],
  });
  const publish = async (definition: SequenceDefinition): Promise<string> =>
    t.db.transaction(async (manager) =>
      sequences.publish(manager, {
        key: 'guide',
        funnelKey: 'guide',
        title: 'Guide',
        sender: SENDER,
        definition,
      }),
    );
  const enroll = async (subscriberId: string): Promise<string> =>
    t.db.transaction(async (manager) =>
      enrollments.enroll(manager, { sequenceKey: 'guide', subscriberId, data: { from: 'test' } }),
    );
  const planned = async (): Promise<{ step: string; at: Date }[]> =>
    t.db.query('select step_key as step, created_at as at from message order by id');
  const enrollment = async (): Promise<Record<string, unknown> | undefined> => {
    const rows: Record<string, unknown>[] = await t.db.query(
      'select id, status, exit_reason as reason, step_key as step, next_at as "nextAt", ended_at as "endedAt" from enrollment order by id',
    );
    return rows[0];
  };
  const advanceTo = async (at: string): Promise<number> => {
    t.clock.set(at);
    return enrollments.advanceDue(100);
  };
  const click = async (step: string, kind: string): Promise<void> => {
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       select 'click', id, $2, 'test', 1, $3 from message where step_key = $1`,
      [step, kind, t.clock.now()],
    );
  };

  it('walks the whole sequence by the local clock of a reader who clicks nothing', async () => {
    await publish(demo());
    const id = await t.subscriber('quiet@example.com', { timeZone: 'America/New_York' });
    expect(await enroll(id)).toBe('enrolled');
    let sent = 0;
    for (let step = 0; step < 10; step++) {
      await enrollments.advanceDue(100);
      sent += await t.sendDue();
      const next = await enrollments.nextDueAt();
      if (next === null) break;
      t.clock.set(new Date(next.getTime() - 1));
      expect(await enrollments.advanceDue(100)).toBe(0);
      t.clock.set(next);
    }
    expect(await planned()).toEqual([
      { step: 'welcome', at: OPENED_AT },
      { step: 'story', at: new Date('2026-03-04T14:30:00Z') },
      // The wait ends on Saturday, a day later is Sunday; Monday 08:00 is after the clocks went forward.
      { step: 'nudge', at: new Date('2026-03-09T12:00:00Z') },
      { step: 'offer', at: new Date('2026-03-10T12:00:00Z') },
    ]);
    expect(await enrollment()).toMatchObject({
      status: 'completed',
      step: null,
      nextAt: null,
      endedAt: t.clock.now(),
    });
    expect(
      await t.db.query(
        'select offer_slug as offer, expires_at as until, amount_minor as price from enrollment_offer',
      ),
    ).toEqual([{ offer: 'kit', until: new Date('2026-03-13T12:00:00Z'), price: '3430' }]);
    expect(sent).toBe(4);
    const rows: { data: unknown }[] = await t.db.query(`select data from message where step_key = 'offer'`);
    expect(rows[0]?.data).toEqual({
      from: 'test',
      offer: { ...OFFER, expiresAt: '2026-03-13T12:00:00.000Z' },
    });
  });

  it('goes on at once, and the other way, when a person clicks; a scanner does not count', async () => {
    await publish(demo());
    await enroll(await t.subscriber('clicks@example.com', { timeZone: 'America/New_York' }));
    await enrollments.advanceDue(100);
    await advanceTo('2026-03-04T14:30:00Z');
    t.clock.set('2026-03-05T10:00:00Z');
    await click('story', 'scanner');
    expect(await enrollments.advanceDue(100)).toBe(0);
    await click('story', 'human');
    expect(await enrollments.advanceDue(100)).toBe(1);
    expect(await enrollment()).toMatchObject({ step: 'deep-dive', nextAt: new Date('2026-03-06T13:00:00Z') });
    await advanceTo('2026-03-06T13:00:00Z');
    await advanceTo('2026-03-09T12:00:00Z');
    expect((await planned()).map(({ step }) => step)).toEqual(['welcome', 'story', 'deep-dive', 'offer']);
    expect(await t.db.query(`select outcome from enrollment_step where step_key = 'pick'`)).toEqual([
      { outcome: 'then' },
    ]);
  });

  it('notices a click that came before the branch was reached', async () => {
    const nodes = [
      email('one', 'two'),
      email('two', 'pick', day),
      {
        kind: 'branch',
        key: 'pick',
        clicked: 'one',
        within: parseDuration('3 days'),
        then: 'yes',
        else: 'no',
      } as const,
      email('yes', null),
      email('no', null),
    ];
    await publish({ window: null, exitOn: [], first: 'one', nodes });
    await enroll(await t.subscriber('early@example.com'));
    await enrollments.advanceDue(100);
    await click('one', 'human');
    t.clock.advance(DAY_MS);
    await enrollments.advanceDue(100);
    await enrollments.advanceDue(100);
    expect((await planned()).map(({ step }) => step)).toEqual(['one', 'two', 'yes']);
  });

  it('enrolls a person once, and tells a sequence that is not there', async () => {
    await publish(demo());
    const id = await t.subscriber('twice@example.com');
    expect(await enroll(id)).toBe('enrolled');
    expect(await enroll(id)).toBe('already_enrolled');
    await expect(
      enrollments.enroll(t.db.manager, { sequenceKey: 'none', subscriberId: id, data: {} }),
    ).rejects.toMatchObject({ code: 'SEQUENCE_NOT_FOUND' });
  });

  it('plans each step once when several workers advance at the same time', async () => {
    await publish(demo());
    for (let index = 0; index < 60; index++) await enroll(await t.subscriber(`many${index}@example.com`));
    const moved = await Promise.all([1, 2, 3, 4].map(async () => enrollments.advanceDue(20)));
    let total = moved.reduce((sum, count) => sum + count, 0);
    for (let more = await enrollments.advanceDue(20); more > 0; more = await enrollments.advanceDue(20))
      total += more;
    expect(total).toBe(60);
    expect(await planned()).toHaveLength(60);
    expect(await t.db.query('select distinct step_key as step from enrollment')).toEqual([{ step: 'story' }]);
  });

  it('forgets the address in a step that was being planned when the person was erased', async () => {
    await publish(demo());
    const id = await t.subscriber('erased@example.com');
    await enroll(id);
    const planning = t.db.createQueryRunner();
    await planning.startTransaction();
    await planning.query('select * from enrollment where subscriber_id = $1 for update', [id]);
    const forgotten = t.db.transaction(async (manager) => t.messages.forget(manager, id));
    await untilWaiting(t.db, 1);
    await planning.query(
      `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
         message_id_header, due_at, created_at)
       values ('seq:1:welcome', 'marketing', 'sequence', $1, 1, '{}', 'erased@example.com', 'x', '<1@example.com>', now(), now())`,
      [id],
    );
    await planning.commitTransaction();
    await planning.release();
    await forgotten;
    expect(await t.db.query('select address, state, subscriber_id as id from message')).toEqual([
      { address: 'erased', state: 'cancelled', id: null },
    ]);
  });

  it('advances everybody who is due in one run, each once, with several runs at the same time', async () => {
    await publish(demo());
    for (let index = 0; index < 40; index++) await enroll(await t.subscriber(`all${index}@example.com`));
    const forever = { deadline: Infinity, signal: new AbortController().signal };
    const moved = await Promise.all([1, 2, 3].map(async () => enrollments.advanceAllDue(forever)));
    expect(moved.reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(await planned()).toHaveLength(40);
    expect(await enrollments.advanceAllDue(forever)).toBe(0);
  });

  describe('whoever waits for a click', () => {
    const TEN_MINUTES = 600_001;
    const lookAgain = async (): Promise<number> => {
      t.clock.advance(TEN_MINUTES);
      return enrollments.advanceDue(100);
    };

    beforeEach(async () => {
      await publish(demo());
      await enroll(await t.subscriber('later@example.com', { timeZone: 'America/New_York' }));
      await enrollments.advanceDue(100);
      await advanceTo('2026-03-04T14:30:00Z');
    });

    /** Many others have come since. */
    const passOver = async (): Promise<void> => {
      await t.db.query(
        `select setval(pg_get_serial_sequence('tracking_event', 'id'), (select max(id) + 20000 from tracking_event))`,
      );
      await click('story', 'scanner');
      expect(await enrollments.advanceDue(100)).toBe(0);
    };

    it('is found among a few new hits, and when the verdict comes long after the click', async () => {
      await click('story', 'unknown');
      await t.db.query(`update tracking_event set settles_at = $1 where class = 'unknown'`, [t.clock.now()]);
      await passOver();
      for (const _ of [1, 2, 3]) expect(await lookAgain()).toBe(0);
      await t.db.query(
        `update tracking_event set class = 'human', settles_at = null where class = 'unknown'`,
      );
      expect(await enrollments.advanceDue(100)).toBe(0);
      expect(await lookAgain()).toBe(1);
    });

    it('is found when a click of long ago is judged anew by other rules', async () => {
      await click('story', 'scanner');
      const [{ id }] = await t.db.query('select max(id) as id from tracking_event');
      await passOver();
      for (const _ of [1, 2, 3]) expect(await lookAgain()).toBe(0);
      await t.db.query(`update tracking_event set class = 'human', earlier = '[]' where id = $1`, [id]);
      expect(await lookAgain()).toBe(0);
      await t.db.query(
        `insert into setting (key, value, updated_at) values ('tracking.reclassify', $1, now())
         on conflict (key) do update set value = excluded.value`,
        [JSON.stringify({ ruleVersion: 1_000, afterId: id })],
      );
      expect(await lookAgain()).toBe(1);
      await t.db.query(`delete from setting where key = 'tracking.reclassify'`);
    });

    it('is found after a start, by what came while nothing ran', async () => {
      await click('story', 'human');
      await t.db.query(
        `select setval(pg_get_serial_sequence('tracking_event', 'id'), (select max(id) + 300000 from tracking_event))`,
      );
      await click('story', 'scanner');
      const started = new HitWaitsService(t.db, new LateHitsService(t.db, t.clock), t.clock);
      await started.notice();
      const [{ due }] = await t.db.query(`select next_at <= $1 as due from enrollment`, [t.clock.now()]);
      expect(due).toBe(true);
    });
  });

  it('moves nobody when planning the mail fails', async () => {
    await publish({
      window: null,
      exitOn: [],
      first: 'a',
      nodes: [email('a', null, { templateId: 'none' })],
    });
    await enroll(await t.subscriber('stuck@example.com'));
    await expect(enrollments.advanceDue(100)).rejects.toThrow();
    expect(await enrollment()).toMatchObject({ status: 'active', step: 'a' });
    expect(await t.db.query('select * from enrollment_step')).toEqual([]);
  });

  it('holds nobody up for a step that can never be due', async () => {
    const window = { days: ['mon'], from: '08:00', to: '10:00' } as const;
    await publish({
      window,
      exitOn: [],
      first: 'a',
      nodes: [email('a', 'b'), email('b', null, { at: '23:00' })],
    });
    await enroll(await t.subscriber('impossible@example.com'));
    await publish({ window: null, exitOn: [], first: 'a', nodes: [email('a', null)] });
    const fine = await t.subscriber('fine@example.com');
    await enroll(fine);
    expect(await enrollments.advanceDue(100)).toBe(2);
    expect(await t.db.query('select subscriber_id as id from message')).toEqual([{ id: fine }]);
    expect(await enrollment()).toMatchObject({
      status: 'active',
      step: 'a',
      nextAt: new Date(OPENED_AT.getTime() + 3_600_000),
    });
  });

  it('takes out who is no longer active, without a mail', async () => {
    await publish(demo());
    const id = await t.subscriber('left@example.com');
    await enroll(id);
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [id]);
    expect(await enrollments.advanceDue(100)).toBe(1);
    expect(await enrollment()).toMatchObject({
      status: 'exited',
      reason: 'subscriber is unsubscribed',
      nextAt: null,
    });
    expect(await planned()).toEqual([]);
  });

  it.each([
    ['buys the product it leads to', 'kit', 'exited', 'cancelled'],
    ['buys something else', 'checklist', 'active', 'ready'],
    ['unsubscribes', null, 'exited', 'cancelled'],
  ])('ends, and cancels what is planned, when the reader %s: %s', async (_, product, status, state) => {
    await publish(demo());
    const id = await t.subscriber('reader@example.com');
    await enroll(id);
    await enrollments.advanceDue(100);
    await t.db.transaction(async (manager) =>
      product === null
        ? enrollments.exitOnUnsubscribe(manager, id)
        : enrollments.exitOnPurchase(manager, id, { productKey: product, orderId: '1' }),
    );
    expect(await enrollment()).toMatchObject({ status });
    expect(await t.db.query('select state from message')).toEqual([{ state }]);
    expect(await t.sendDue()).toBe(state === 'ready' ? 1 : 0);
  });

  it('keeps people in the version they joined, and makes no version of an unchanged definition', async () => {
    await publish(demo());
    await publish(demo());
    await enroll(await t.subscriber('first@example.com'));
    await publish({ ...demo(), first: 'nudge' });
    await enroll(await t.subscriber('second@example.com'));
    const rows: unknown[] = await t.db.query(
      'select v.version, e.step_key as step from enrollment e join sequence_version v on v.id = e.version_id order by e.id',
    );
    expect(rows[0]).toEqual({ version: 1, step: 'welcome' });
    expect(rows[1]).toEqual({ version: 2, step: 'nudge' });
    expect(await t.db.query('select count(*)::int from sequence_version')).toEqual([{ count: 2 }]);
  });
});
