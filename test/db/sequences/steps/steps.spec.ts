import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { OffersService } from '../../../../src/offers/offers.service.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { SuppressionsService } from '../../../../src/subscribers/suppressions.service.js';
import { UndeliverableService } from '../../../../src/subscribers/undeliverable.service.js';
import { openCourse, type Course } from '../course.js';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('the steps of a sequence', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const begin = async (steps: string, person = {}, more = ''): Promise<string> => {
    await t.publish(steps, more);
    const id = await t.person('reader@example.com', person);
    await t.enroll(id);
    await t.run();
    return id;
  };
  const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;

  it.each([
    ['hard_bounce', 'bounced', 'hard'],
    ['complaint', 'complained', 'complaint'],
  ] as const)(
    'leave at once after a %s, whenever their next step is due',
    async (reason, status, verdict) => {
      const id = await begin(`${mail('one')}
${mail('two', ', delay: 30 days')}`);
      const get = <T>(token: new (...given: never[]) => T): T => t.test.app.get<T>(token, { strict: false });
      const addressHash = get(SuppressionsService).hash('reader@example.com');
      await t.db.transaction(async (manager) => {
        await manager.query(
          `insert into bounce (dedupe_key, subscriber_id, address_hash, verdict, reason, source, trusted, received_at)
         values ($1::bigint::text, $1, $2, $3, 'test', 'smtp', true, now())`,
          [id, addressHash, verdict],
        );
        await get(UndeliverableService).giveUp(manager, reason, {
          addressHash,
          subscriberId: id,
          source: 'webhook',
        });
      });
      await get(JobRunner).run('sequences.exit-left');
      expect(await t.place(id)).toMatchObject({ status: 'exited', reason: `subscriber is ${status}` });
    },
  );

  it('wait for a while, and until an hour, before what follows', async () => {
    const id = await begin(`
- { key: pause, wait: 90 minutes }
${mail('one')}
- { key: morning, wait: true, at: "08:00", onDays: [thu] }
${mail('two')}`);
    await t.at('2026-01-05T10:29:59Z');
    expect(await t.mails(id)).toEqual([]);
    await t.at('2026-01-05T10:30:00Z');
    expect(await t.mails(id)).toEqual(['one']);
    expect(await t.place(id)).toMatchObject({ step: 'morning', nextAt: new Date('2026-01-08T08:00:00Z') });
    await t.at('2026-01-08T08:00:00Z');
    expect(await t.mails(id)).toEqual(['one', 'two']);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
  });

  it.each([
    ['onDays: [wed]', 'delay: 1 hour, onDays: [wed]', '2026-01-07T00:00:00Z'],
    [
      'its own window',
      'delay: 1 hour, window: { days: [sat], from: "10:00", to: "12:00" }',
      '2026-01-10T10:00:00Z',
    ],
    ['quietHours', 'delay: 1 hour, quietHours: { from: "09:30", to: "14:15" }', '2026-01-05T14:15:00Z'],
    ['until a day of all', 'until: 2026-02-01', '2026-02-01T00:00:00Z'],
    ['until an hour', 'until: "2026-02-01 18:30"', '2026-02-01T18:30:00Z'],
    ['until an instant', 'until: "2026-02-01T18:30:00+02:00"', '2026-02-01T16:30:00Z'],
    ['until a day at an hour', 'until: 2026-02-01, at: "07:15"', '2026-02-01T07:15:00Z'],
    ['until a field', 'until: { field: trialEnd }', '2026-03-10T00:00:00Z'],
    ['days before a field', 'until: { field: trialEnd, minus: 3 days }, at: "09:30"', '2026-03-07T09:30:00Z'],
    ['a month after a field', 'until: { field: trialEnd, plus: 1 month }', '2026-04-10T00:00:00Z'],
    ['hours before a field', 'until: { field: trialEnd, minus: 2 hours }', '2026-03-09T22:00:00Z'],
  ])('come %s', async (_, timing, due) => {
    const id = await begin(`${mail('one')}\n${mail('two', `, ${timing}`)}`, {
      fields: { trialEnd: '2026-03-10' },
    });
    expect(await t.place(id)).toMatchObject({ step: 'two', nextAt: new Date(due) });
    await t.at(new Date(new Date(due).getTime() - 1).toISOString());
    expect(await t.mails(id)).toEqual(['one']);
    await t.at(due);
    expect(await t.mails(id)).toEqual(['one', 'two']);
  });

  it('read every local time on the clock of the subscriber', async () => {
    const id = await begin(`${mail('one')}\n${mail('two', ', until: { field: day }, at: "09:30"')}`, {
      fields: { day: '2026-07-01' },
      timeZone: 'America/New_York',
    });
    expect(await t.place(id)).toMatchObject({ nextAt: new Date('2026-07-01T13:30:00Z') });
  });

  it('keep to the quiet hours of the whole sequence, in the zone it falls back to', async () => {
    const more = 'quietHours: { from: "20:00", to: "08:00" }\nfallbackTimezone: Asia/Tokyo';
    const id = await begin(`${mail('one')}\n${mail('two', ', delay: 3 hours')}`, {}, more);
    // 12:00 UTC is 21:00 in Tokyo.
    expect(await t.place(id)).toMatchObject({ nextAt: new Date('2026-01-05T23:00:00Z') });
  });

  it('look anew at a date when its field changes, and pass over an empty one', async () => {
    const id = await begin(
      `${mail('one', ', until: { field: trialEnd }')}\n${mail('two', ', delay: 1 day')}`,
      {
        fields: { trialEnd: '2026-03-10' },
      },
    );
    const change = async (fields: object): Promise<void> => {
      const answer = await t.test.http
        .patch(`/api/v1/subscribers/${id}`)
        .set('Authorization', 'Bearer test-key-of-sixteen-or-more')
        .send({ fields });
      expect(answer.status).toBe(200);
      await t.run();
    };
    await change({ trialEnd: '2026-02-10' });
    expect(await t.place(id)).toMatchObject({ step: 'one', nextAt: new Date('2026-02-10T00:00:00Z') });
    await change({ trialEnd: null });
    expect(await t.outcomes(id)).toEqual({ one: 'no date in trialEnd' });
    expect(await t.place(id)).toMatchObject({ step: 'two', nextAt: new Date('2026-01-06T09:00:00Z') });
  });

  it('are passed over once they have expired, and say so; their mail does not go later either', async () => {
    const id = await begin(`${mail('early', ', delay: 1 day, expires: 2026-01-06')}
${mail('bird', ', delay: 1 day, expires: "2026-01-07T08:59:00Z"')}
${mail('late', ', delay: 1 hour')}`);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.mails(id)).toEqual(['early']);
    expect(await t.db.query(`select expires_at as at from message where step_key = 'early'`)).toEqual([
      { at: new Date('2026-01-07T00:00:00Z') },
    ]);
    await t.at('2026-01-07T09:00:00Z');
    expect(await t.mails(id)).toEqual(['early']);
    expect(await t.outcomes(id)).toEqual({ bird: 'expired 2026-01-07T08:59:00Z' });
    const why = await t.test.http
      .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=course&step=bird`)
      .set('Authorization', 'Bearer test-key-of-sixteen-or-more');
    expect(JSON.stringify(why.body)).toContain('STEP_EXPIRED');
    await t.at('2026-01-07T10:00:00Z');
    expect(await t.mails(id)).toEqual(['early', 'late']);
  });

  it('tag, untag and set fields, in their order', async () => {
    const id = await begin(
      `
- { key: in, tag: [student, fresh] }
- { key: out, untag: fresh }
- { key: facts, set: { level: 2, city: Berlin, old: null } }
- { key: sure, if: { all: [{ tag: student }, { not: { tag: fresh } }, { field: level, is: 2 }] }, then: [${mail('yes').slice(2)}], else: [${mail('no').slice(2)}] }`,
      { fields: { old: 'gone', kept: true } },
    );
    expect(await t.mails(id)).toEqual(['yes']);
    expect(await t.db.query('select fields from subscriber where id = $1', [id])).toEqual([
      { fields: { level: 2, city: 'Berlin', kept: true } },
    ]);
  });

  it('wait for a person whom somebody else is changing, and look for them once, not without end', async () => {
    await t.publish('- { key: mark, tag: reader }');
    const [busy, free] = [await t.person('busy@example.com'), await t.person('free@example.com')];
    for (const id of [busy, free]) await t.enroll(id);
    const enrollments = t.test.app.get(EnrollmentsService, { strict: false });
    const signal = AbortSignal.timeout(10_000);
    await t.db.transaction(async (manager) => {
      await manager.query('select 1 from subscriber where id = $1 for update', [busy]);
      expect(await enrollments.advanceAllDue({ deadline: Infinity, signal })).toBe(1);
    });
    expect(signal.aborted).toBe(false);
    expect([await t.place(busy), await t.place(free)]).toMatchObject([
      { status: 'active', step: 'mark' },
      { status: 'completed' },
    ]);
    await t.run();
    expect(await t.place(busy)).toMatchObject({ status: 'completed' });
  });

  it('may ask what this very turn has done, and refuse a value that its field cannot hold', async () => {
    const id = await begin(`
${mail('early', ', expires: 2026-01-01')}
- { key: late, if: { step: early, was: skipped }, then: [{ key: facts, set: { level: 3 } }] }`);
    expect(await t.outcomes(id)).toMatchObject({ early: 'expired 2026-01-01', late: 'then', facts: 'ran' });
    await expect(t.publish('- { key: facts, set: { level: high, city: Berlin } }')).rejects.toThrow(
      /course\.yaml:\d+: sequence\.steps\.0\.set\.level: the field level takes a number$/,
    );
    await t.publish('- { key: facts, set: { level: null } }');
  });

  it('end the sequence, and move people to another', async () => {
    await t.publish(mail('hello'), '', 'clients');
    const id = await begin(`
- { key: kind, if: { tag: client }, then: [{ key: go, move: clients, delay: 1 day }], else: [{ key: stop, end: true }] }`);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    const client = await t.person('client@example.com', { tags: ['client'] });
    await t.enroll(client);
    await t.run();
    expect(await t.mails(client)).toEqual([]);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.place(client)).toMatchObject({ status: 'exited', reason: 'moved to clients' });
    expect(await t.mails(client)).toEqual(['hello']);
  });

  it('do not move people round and round: refused without a wait, once an hour at most with one', async () => {
    await t.publish(mail('end'), '', 'second');
    await t.publish('- { key: over, move: second }', 'reentry: always');
    const back = (delay: string): string => `- { key: back, move: course${delay} }`;
    await expect(t.publish(back(''), 'reentry: always', 'second')).rejects.toThrow('for ever without a wait');
    await t.publish(back(', delay: 1 minute'), 'reentry: always', 'second');
    await t.enroll(await t.person('dizzy@example.com'));
    const rounds = async (): Promise<number> =>
      ((await t.db.query('select id from enrollment')) as unknown[]).length;
    await t.run();
    expect(await rounds()).toBe(2);
    for (const minute of ['01', '02', '03', '04', '05']) await t.at(`2026-01-05T09:${minute}:00Z`);
    expect(await rounds()).toBeLessThanOrEqual(3);
  });

  it('tell the owner by mail, one an hour with everybody who came by', async () => {
    const id = await begin('- { key: hot, notify: Somebody wants a call }');
    const tell = async (): Promise<void> => {
      const { JobRunner } = await import('../../../../src/infra/jobs/job-runner.js');
      await t.test.app.get(JobRunner).run('sequences.notify-owner');
    };
    const notices = async (): Promise<Record<string, unknown>[]> =>
      t.db.query(
        `select address, class, data->'notice' as notice from message where kind = 'notice' order by id`,
      );
    await tell();
    expect(await notices()).toMatchObject([
      {
        address: 'ada@example.com',
        class: 'transactional',
        notice: { text: 'Somebody wants a call', count: 1, people: [{ id }] },
      },
    ]);
    for (const name of ['b', 'c']) await t.enroll(await t.person(`${name}@example.com`));
    await t.run();
    await tell();
    expect(await notices()).toHaveLength(1);
    t.clock.advance(3_600_001);
    await tell();
    expect((await notices())[1]).toMatchObject({ notice: { count: 2 } });
    await t.test.runDue();
    expect((await t.test.mailsTo('ada@example.com'))[0]?.subject).toBe('Somebody wants a call');
  });

  it('promise one price until one moment: mails and checkout say the same, also when the product costs more by then', async () => {
    const offer = (key: string, more: string): string =>
      `- { key: ${key}, offer: course-kit, email: emails/offer${more} }`;
    const id = await begin(
      `${offer('pitch', ', deadline: 72 hours')}\n${offer('reminder', ', delay: 1 day')}\n${offer('last', ', delay: 1 day, deadline: 48 hours')}\n${offer('late', ', delay: 30 days')}`,
    );
    type Said = { step: string; price: number; until: string | null; ends: Date | null; id: string };
    const said = async (): Promise<Said | undefined> => {
      const rows: Said[] = await t.db.query(
        `select step_key as step, (data -> 'offer' -> 'price' ->> 'amountMinor')::int as price, data -> 'offer' ->> 'expiresAt' as until,
           expires_at as ends, id from message where subscriber_id = $1 order by id desc limit 1`,
        [id],
      );
      return rows[0];
    };
    const asked = async (at: string): Promise<number | undefined> => {
      const mailId = (await said())?.id ?? '';
      return (await t.test.app.get(OffersService).terms('course-kit', mailId, new Date(at)))?.price
        .amountMinor;
    };
    const first = '2026-01-08T09:00:00.000Z';
    expect(await said()).toMatchObject({ step: 'pitch', price: 3430, until: first, ends: new Date(first) });
    await t.db.query(`update product set amount_minor = 5900 where key = 'course-kit'`);
    await t.at('2026-01-06T09:00:00Z');
    expect(await said()).toMatchObject({ step: 'reminder', price: 3430, until: first });
    expect(await asked('2026-01-08T08:59:59Z')).toBe(3430);
    expect(await asked(first)).toBe(5900);
    // Without the deadline the funnel gives the discount to everybody: what was promised holds all the same.
    await t.db.query(
      `update offer set personal_deadline = false, discount_bps = 0 where slug = 'course-kit'`,
    );
    expect(await asked('2026-01-08T08:59:59Z')).toBe(3430);
    await t.db.query(
      `update offer set personal_deadline = true, discount_bps = 3000 where slug = 'course-kit'`,
    );
    // Another product under the same name was promised to nobody.
    await t.db.query(`update enrollment_offer set product_id = product_id + 1000`);
    expect(await asked('2026-01-08T08:59:59Z')).toBe(4130);
    await t.db.query(`update enrollment_offer set product_id = product_id - 1000`);
    await t.at('2026-01-07T09:00:00Z');
    expect(await said()).toMatchObject({ step: 'last', until: '2026-01-09T09:00:00.000Z' });
    expect(await asked('2026-01-09T08:59:59Z')).toBe(3430);
    expect(await asked('2026-01-09T09:00:00Z')).toBe(5900);
    await t.at('2026-02-06T09:00:00Z');
    expect(await said()).toMatchObject({ step: 'late', price: 5900, until: null, ends: null });
    expect(await asked('2026-02-06T09:00:01Z')).toBe(5900);
  });

  it('take a click for an open, too, where an open ends, begins or leads to a goal: who had blocked the pixel never did', async () => {
    const steps = `${mail('one')}\n- { key: read, goal: { opened: one }, otherwise: end }\n${mail('more', ', delay: 1 hour')}`;
    await t.publish(
      steps.replace(/- .*goal.*\n/, '').replace('1 hour', '9 days'),
      'exitOn: [{ opened: one }]',
      'ends',
    );
    await t.publish(
      mail('first', ', delay: 1 day'),
      'enterOn: [{ opened: one, sequence: course }]',
      'begins',
    );
    await t.publish(steps.replace(', delay: 1 hour', ''));
    const id = await t.person('reader@example.com');
    for (const key of ['course', 'ends']) await t.enroll(id, key);
    await t.run();
    await t.hit(id, 'one', 'click', 'scanner');
    await t.run();
    expect(await t.place(id, 'begins')).toBeUndefined();
    await t.db.query(`update tracking_event set class = 'human'`);
    t.clock.advance(2 * 3_600_000);
    await t.run();
    await t.run();
    expect(await t.place(id, 'ends')).toMatchObject({ status: 'exited', reason: 'opened one' });
    expect(await t.place(id, 'begins')).toMatchObject({ status: 'active' });
  });

  it('stops the last mail of a sequence that ended in the very batch in which a step of another gave the tag, and not of its own', async () => {
    await t.publish('- { key: mark, tag: client, delay: 1 day }', '', 'second');
    await t.publish(
      `${mail('bye', ', delay: 1 day')}\n- { key: told, tag: friend }`,
      'exitOn: [{ tag: friend }]',
      'own',
    );
    await t.publish(mail('last', ', delay: 1 day'), 'exitOn: [{ tag: client }]');
    const id = await t.person('reader@example.com');
    for (const key of ['second', 'own', 'course']) await t.enroll(id, key);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    expect(await t.mails(id)).toEqual(['bye']);
  });

  it('looks at a click of somebody who is over once: their mails were read every two seconds', async () => {
    const id = await begin(
      `${mail('one')}\n${mail('two', ', delay: 1 day')}`,
      {},
      'exitOn: [{ clicked: one }]',
    );
    await t.at('2026-01-06T09:00:00Z');
    await t.db.query(`update message set state = 'accepted' where step_key = 'one'`);
    await t.hit(id, 'one', 'click', 'scanner');
    await t.run();
    expect([await t.place(id), await t.mails(id)]).toMatchObject([{ status: 'completed' }, ['one', 'two']]);
    // Judged anew.
    await t.db.query(`update tracking_event set class = 'human'`);
    await t.run();
    expect(await t.mails(id)).toEqual(['one']);
    await t.db.query(`update message set state = 'ready', settled_at = null where step_key = 'two'`);
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'two']);
    // Each hit is looked at once more by the next look at all that is new.
    await t.at('2026-01-06T10:30:00Z');
    expect(await t.mails(id)).toEqual(['one']);
  });

  it('ends a sequence, and does not jump to its goal, when somebody else buys by the mail that was passed on', async () => {
    const id = await begin(
      `${mail('one', ', delay: 1 hour')}\n- { key: bought, goal: { purchased: course-kit } }\n${mail('thanks')}`,
    );
    const exit = t.test.app.get(EnrollmentsService, { strict: false });
    await t.db.transaction(async (manager) => exit.exitOfReader(manager, id, 'course-kit'));
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'purchased course-kit' });
    expect([await t.outcomes(id), await t.mails(id)]).toEqual([{}, []]);
  });
});
