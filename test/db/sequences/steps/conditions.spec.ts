import { AffiliatesService } from '../../../../src/affiliates/affiliates.service.js';
import { ReferralsService } from '../../../../src/affiliates/referrals.service.js';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { importOptions } from '../../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../../src/imports/imports.service.js';
import { SubscribersService } from '../../../../src/subscribers/subscribers.service.js';
import { parseEmailAddress } from '../../../../src/values/email-address.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { empty } from '../../../support/database.js';
import { defineOwnFields } from '../../../support/own-fields.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const asks = (condition: string, within = ''): string => `
- ${mail('one')}
- { key: aside, email: emails/nudge, expires: 2026-01-01 }
- { key: early, if: { tag: early }, then: [${mail('first')}], else: [${mail('other')}] }
- { key: pick, if: ${condition.replace(/ }$/, `${within} }`)}, then: [${mail('yes')}], else: [${mail('no')}] }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('what branches ask', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const bought = { tags: ['bought:course-kit'] };
  it.each([
    ['{ tag: vip }', { tags: ['vip'] }, {}],
    ['{ purchased: course-kit }', bought, {}],
    ['{ field: country, is: DE }', { fields: { country: 'DE' } }, { fields: { country: 'AT' } }],
    ['{ field: country, is: DE }', { fields: { country: 'DE' } }, {}],
    ['{ field: country, isNot: DE }', {}, { fields: { country: 'DE' } }],
    ['{ field: score, over: 10 }', { fields: { score: 11 } }, { fields: { score: 9 } }],
    ['{ field: score, under: 10 }', { fields: { score: 9.5 } }, { fields: { score: 10 } }],
    ['{ field: score, under: 10 }', { fields: { score: -1 } }, {}],
    ['{ field: paid, is: true }', { fields: { paid: true } }, { fields: { paid: false } }],
    ['{ field: score, exists: true }', { fields: { score: 0 } }, {}],
    ['{ field: score, exists: false }', {}, { fields: { score: 0 } }],
    ['{ step: one, was: ran }', {}, null],
    ['{ step: aside, was: skipped }', {}, null],
    ['{ not: { step: aside, was: ran } }', {}, null],
    ['{ step: early, was: then }', { tags: ['early'] }, {}],
    ['{ step: early, was: else }', {}, { tags: ['early'] }],
    ['{ affiliate: any }', { affiliate: 'ada' }, {}],
    ['{ affiliate: ada }', { affiliate: 'ada' }, { affiliate: 'bo' }],
    ['{ affiliate: none }', {}, { affiliate: 'bo' }],
    ['{ affiliate: self }', { isAffiliate: true }, { affiliate: 'ada' }],
    ['{ all: [{ tag: a }, { tag: b }] }', { tags: ['a', 'b'] }, { tags: ['a'] }],
    ['{ any: [{ tag: a }, { tag: b }] }', { tags: ['b'] }, { tags: ['c'] }],
    ['{ not: { tag: a } }', {}, { tags: ['a'] }],
  ])('%s', async (condition, holding, other) => {
    const yes = await t.person('yes@example.com', holding);
    const no = other === null ? null : await t.person('no@example.com', other);
    // A turn of its own for the branch, so that what came before it is in the database.
    await t.publish(asks(condition).replace('- { key: pick', '- { key: rest, wait: 1 hour }\n- { key: pick'));
    for (const id of [yes, no]) if (id !== null) await t.enroll(id);
    await t.run();
    await t.at('2026-01-05T10:00:00Z');
    expect((await t.mails(yes)).at(-1)).toBe('yes');
    if (no !== null) expect((await t.mails(no)).at(-1)).toBe('no');
  });

  it.each([
    ['{ clicked: one }', async (id: string) => t.hit(id, 'one', 'click')],
    ['{ opened: one }', async (id: string) => t.hit(id, 'one', 'open')],
    ['{ opened: one  }', async (id: string) => t.hit(id, 'one', 'click')],
    ['{ event: demo-booked }', async (id: string) => tell(id, 'demo-booked')],
    ['{ tag: vip }', async (id: string) => tag(id, 'vip')],
    ['{ field: plan, is: pro }', async (id: string) => set(id, { plan: 'pro' })],
    ['{ any: [{ clicked: one }, { tag: vip }] }', async (id: string) => tag(id, 'vip')],
    ['{ not: { field: plan, exists: false } }', async (id: string) => set(id, { plan: 'free' })],
  ])(
    '%s waits for it, goes on at once, and takes the other way after its time',
    async (condition, happens) => {
      await t.publish(asks(condition, ', within: 3 days'));
      const id = await t.person('reader@example.com');
      const late = await t.person('late@example.com');
      for (const one of [id, late]) await t.enroll(one);
      await t.run();
      await t.gone();
      expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
      await t.hit(id, 'one', 'open', 'proxy');
      await t.hit(id, 'one', 'click', 'scanner');
      await t.at('2026-01-06T12:00:00Z');
      expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
      await happens(id);
      await t.run();
      expect(await t.mails(id)).toEqual(['one', 'other', 'yes']);
      await t.at('2026-01-08T08:59:59Z');
      expect(await t.mails(late)).toEqual(['one', 'other']);
      await t.at('2026-01-08T09:00:00Z');
      expect(await t.mails(late)).toEqual(['one', 'other', 'no']);
    },
  );

  it('goes on waiting, with the same end, after something else has happened', async () => {
    await t.publish(asks('{ all: [{ clicked: one }, { tag: vip }] }', ', within: 3 days'));
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-06T00:00:00Z');
    await t.hit(id, 'one', 'click');
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
    await tag(id, 'vip');
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'other', 'yes']);
  });

  it('takes the first of several cases that holds, and else when none does', async () => {
    await t.publish(`
- key: level
  switch:
    - { if: { field: level, is: 1 }, then: [${mail('beginner')}] }
    - { if: { field: level, over: 0 }, then: [${mail('expert')}, { key: done, end: true }] }
  else: [${mail('nobody')}]
- ${mail('after')}`);
    const people = { 1: ['beginner', 'after'], 2: ['expert'], 0: ['nobody', 'after'] };
    for (const [level, mails] of Object.entries(people)) {
      const id = await t.person(`level${level}@example.com`, { fields: { level: Number(level) } });
      await t.enroll(id);
      await t.run();
      expect(await t.mails(id)).toEqual(mails);
    }
  });

  it('waits in a switch, too', async () => {
    await t.publish(`
- key: reply
  switch:
    - { if: { tag: a }, then: [${mail('a')}] }
    - { if: { tag: b }, then: [${mail('b')}] }
  within: 2 hours
- ${mail('after')}`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await tag(id, 'b');
    await t.run();
    expect(await t.mails(id)).toEqual(['b', 'after']);
    expect(await t.outcomes(id)).toEqual({ reply: 'case 2' });
  });

  it('does not take an event of before the sequence for one of now', async () => {
    await t.publish(asks('{ event: demo-booked }'));
    const id = await t.person('reader@example.com');
    await tell(id, 'demo-booked');
    t.clock.advance(1000);
    await t.enroll(id);
    await t.run();
    expect((await t.mails(id)).at(-1)).toBe('no');
  });

  it('hears of fields that a form fills, that are held when an address is confirmed, and that an import brings', async () => {
    const two = `- ${mail('one')}\n- ${mail('two', ', delay: 1 day')}`;
    await t.publish(two, 'enterOn: [{ field: level, over: 4 }, { tag: lead }]');
    await t.publish(two, 'exitOn: [{ field: level, over: 4 }, { tag: lead }]', 'beginners');
    const subscribers = t.test.app.get(SubscribersService, { strict: false });
    const fill = async (text: string, fields: Record<string, string | number>): Promise<string> => {
      const email = parseEmailAddress(text);
      if (!email.ok) throw new Error(text);
      return (await t.db.transaction(async (manager) => subscribers.upsert(manager, { email, fields }))).id;
    };
    const filled = await t.person('filled@example.com');
    const holds = await t.person('holds@example.com', { fields: { level: 9 } });
    const imported = await t.person('imported@example.com', { fields: { level: 2 } });
    const post = { email: 'tagged@example.com', tags: ['lead'] };
    const tagged = String((await t.post('/api/v1/subscribers', post)).body['id']);
    await t.post('/api/v1/subscribers', { ...post, email: 'unconfirmed@example.com' });
    for (const id of [filled, imported]) await t.enroll(id, 'beginners');
    await t.run();
    await fill('filled@example.com', { level: 7 });
    await fill('holds@example.com', { level: 1, city: 'Rome' });
    const pending = await fill('pending@example.com', { level: 8 });
    expect(await t.db.query('select subscriber_id as id, before from field_signal')).toEqual([
      { id: filled, before: {} },
    ]);
    await t.run();
    expect(await t.place(filled)).toMatchObject({ status: 'active', step: 'two', occurrence: 1 });
    expect(await t.place(filled, 'beginners')).toMatchObject({ status: 'exited', reason: 'field level' });
    const none = [holds, pending, tagged].map(async (id) => t.place(id));
    expect(await Promise.all(none)).toEqual([undefined, undefined, undefined]);
    // Who confirms joins by what they hold; a sequence that it would end goes on, as the value is no news there.
    for (const id of [pending, tagged]) {
      await t.db.transaction(async (manager) => subscribers.activate(manager, id));
      await t.enroll(id, 'beginners');
      await t.run();
      expect([await t.place(id), await t.place(id, 'beginners')]).toMatchObject([
        { status: 'active', step: 'two' },
        { status: 'active', step: 'two' },
      ]);
    }
    const imports = t.test.app.get(ImportsService, { strict: false });
    const path = join(await mkdtemp(join(tmpdir(), 'wellspring-fields-spec-')), 'people.csv');
    await writeFile(
      path,
      'email,level\nimported@example.com,6\nholds@example.com,8\nmade@example.com,5\nlow@example.com,3\nunconfirmed@example.com,1\n',
    );
    const options = importOptions.parse({
      ...{ columns: { level: 'field:level' }, existing: 'overwrite', status: 'active', consentText: 'Yes' },
    });
    const job = await imports.create({ fileName: 'people.csv', dryRun: false, options });
    await imports.takeFile(job.id, path);
    await imports.run(job.id);
    await rm(dirname(path), { recursive: true });
    await t.run();
    expect(await t.place(imported, 'beginners')).toMatchObject({ status: 'exited', reason: 'field level' });
    const people: unknown = await t.db.query(
      `select s.email from enrollment e join sequence q on q.id = e.sequence_id join subscriber s on s.id = e.subscriber_id
       where q.key = 'course' order by s.id`,
    );
    const joined = ['filled', 'imported', 'tagged', 'unconfirmed', 'pending', 'made'].map((name) => ({
      email: `${name}@example.com`,
    }));
    expect(people).toEqual(joined);
    expect(await t.db.query('select 1 from field_signal')).toEqual([]);
  });

  it('goes to a field’s goal ahead though one behind still holds, and ends by no value that was there before', async () => {
    const steps = `- { key: trial, goal: { field: plan, is: trial } }
- ${mail('one')}
- ${mail('pitch', ', delay: 1 day')}
- { key: paid, goal: { field: paid, is: true } }
- ${mail('thanks', ', delay: 1 day')}`;
    await defineOwnFields(t.db, { paid: 'boolean', country: 'text', city: 'text' });
    await t.publish(steps, 'exitOn: [{ field: country, is: DE }]');
    const payer = await t.person('payer@example.com', { fields: { plan: 'trial' } });
    const other = await t.person('other@example.com', { fields: { country: 'DE' } });
    for (const id of [payer, other]) await t.enroll(id);
    await t.run();
    await set(payer, { paid: true });
    expect(await t.place(payer)).toMatchObject({ status: 'active', step: 'thanks' });
    expect(await t.outcomes(payer)).toMatchObject({ trial: 'reached', paid: 'reached' });
    await set(other, { city: 'Rome' });
    expect(await t.place(other)).toMatchObject({ status: 'active', step: 'pitch' });
    for (const country of ['FR', 'DE']) await set(other, { country });
    expect(await t.place(other)).toMatchObject({ status: 'exited', reason: 'field country' });
  });

  const tell = async (subscriberId: string, name: string): Promise<void> => {
    expect(await t.post('/api/v1/events', { subscriberId, name })).toMatchObject({ status: 201 });
  };
  const tag = async (id: string, name: string): Promise<void> => {
    expect(await t.post(`/api/v1/subscribers/${id}/tags`, { name })).toMatchObject({ status: 200 });
  };
  const set = async (id: string, fields: object): Promise<void> => {
    const change = t.test.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect((await change.send({ fields })).status).toBe(200);
  };

  it('begins, ends or goes to a goal by a link of an affiliate, and by becoming one; a code that nobody has is refused', async () => {
    const { app } = t.test;
    await empty(t.db, 'affiliate');
    const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
    const two = `${mail('one')}\n${mail('two', ', delay: 1 day')}`;
    const add = async (code: string, address: string) => {
      const email = parseEmailAddress(address);
      if (!email.ok) throw new Error('no address');
      const affiliates = app.get(AffiliatesService, { strict: false });
      return affiliates.create({ code, name: code, email, recruiterId: null });
    };
    const [ada, bo] = [await add('ada', 'ada@example.org'), await add('bo', 'bo@example.org')];
    for (const [steps, more, field] of [
      [two, 'exitOn: [{ tag: a }, { affiliate: adda }]', 'sequence.exitOn.1.affiliate'],
      [two, 'enterOn: [{ affiliate: adda }]', 'sequence.enterOn.0.affiliate'],
      ['- { key: g, goal: { affiliate: adda } }', '', 'sequence.steps.0.goal.affiliate'],
      [
        '- { key: b, if: { not: { affiliate: adda } }, then: [{ key: e, end: true }] }',
        '',
        'sequence.steps.0.if.not.affiliate',
      ],
    ] as const)
      await expect(t.publish(steps, more)).rejects.toThrow(`${field}: no affiliate has the code "adda"`);
    await t.publish(two, 'enterOn: [{ affiliate: any }]\nexitOn: [{ affiliate: bo }]');
    await t.publish(
      `${mail('before', ', delay: 9 days')}\n- { key: partner, goal: { affiliate: self } }\n${mail('after')}`,
      'enterOn: [{ affiliate: ada }]',
      'ada',
    );
    const id = await t.person('reader@example.com');
    const comesBy = async (affiliateId: string): Promise<void> => {
      t.clock.advance(1000);
      const touch = { affiliateId, at: t.clock.now() };
      await t.db.transaction(async (manager) =>
        app
          .get(ReferralsService, { strict: false })
          .keep(manager, id, { touch, source: 'form', isProven: true }),
      );
      await t.run();
    };
    await comesBy(ada.id);
    expect(await t.place(id)).toMatchObject({ status: 'active' });
    expect(await t.place(id, 'ada')).toMatchObject({ status: 'active', step: 'before' });
    // No news.
    await comesBy(ada.id);
    await comesBy(bo.id);
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'affiliate bo', occurrence: 1 });
    await add('reader', 'reader@example.com');
    await t.run();
    expect(await t.outcomes(id)).toMatchObject({ partner: 'reached' });
    expect((await t.mails(id)).at(-1)).toBe('after');
    await empty(t.db, 'affiliate');
  });

  it('begins by the affiliate of somebody who bought first and confirmed their sign-up later, and of an affiliate who signs up', async () => {
    const { app } = t.test;
    await empty(t.db, 'affiliate');
    for (const [code, address] of [
      ['ada', 'ada@example.org'],
      ['own', 'partner@example.com'],
    ])
      await t.db.query(
        `insert into affiliate (code, name, email, email_key, state, created_at, updated_at)
         values ($1, $1, $2, $2, 'active', now(), now())`,
        [code, address],
      );
    const steps = '- { key: one, email: emails/story }';
    await t.publish(steps, 'enterOn: [{ affiliate: any }]\nreentry: always');
    await t.publish(steps, 'enterOn: [{ affiliate: ada }]\nreentry: always', 'ada');
    await t.publish(steps, 'enterOn: [{ affiliate: self }]', 'self');
    const pending = async (address: string): Promise<string> => {
      const id = await t.person(address);
      await t.db.query(`update subscriber set status = 'pending', confirmed_at = null where id = $1`, [id]);
      return id;
    };
    const touched = async (id: string, code = 'ada'): Promise<void> => {
      const [row]: { id: string }[] = await t.db.query('select id from affiliate where code = $1', [code]);
      const touch = { affiliateId: row?.id ?? '', at: t.clock.now() };
      const referrals = app.get(ReferralsService, { strict: false });
      await t.db.transaction(async (manager) =>
        referrals.keep(manager, id, { touch, source: 'checkout', isProven: true }),
      );
    };
    const confirm = async (id: string, and = async () => Promise.resolve()): Promise<void> => {
      t.clock.advance(86_400_000);
      await t.db.transaction(async (manager) => {
        const subscribers = app.get(SubscribersService, { strict: false });
        expect(await subscribers.activate(manager, id)).toBe('activated');
      });
      await and();
      for (const _ of [1, 2]) await t.run();
    };
    const places = async (id: string): Promise<(number | undefined)[]> =>
      Promise.all(
        ['course', 'ada', 'self'].map(async (key) => (await t.place(id, key))?.['occurrence'] as number),
      );
    const [buyer, partner, nobody] = [
      await pending('buyer@example.com'),
      await pending('partner@example.com'),
      await pending('nobody@example.com'),
    ];
    await touched(buyer);
    await t.run();
    expect(await places(buyer)).toEqual([undefined, undefined, undefined]);
    for (const id of [buyer, partner, nobody]) await confirm(id);
    expect(await places(buyer)).toEqual([1, 1, undefined]);
    expect(await places(partner)).toEqual([undefined, undefined, 1]);
    expect(await places(nobody)).toEqual([undefined, undefined, undefined]);
    // A link of another in the very moment of the confirmation begins its sequence once, though one may come back.
    const both = await pending('both@example.com');
    await touched(both, 'own');
    await confirm(both, async () => touched(both, 'ada'));
    expect(await places(both)).toEqual([1, 1, undefined]);
    await empty(t.db, 'affiliate');
  });
});
