import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { importOptions } from '../../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../../src/imports/imports.service.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { untilWaiting } from '../../../support/database.js';
import { defineOwnFields } from '../../../support/own-fields.js';

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;

describe('what happens to people in sequences', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const tag = async (id: string, name: string): Promise<void> => {
    expect(await t.post(`/api/v1/subscribers/${id}/tags`, { name })).toMatchObject({ status: 200 });
  };
  const tell = async (body: object): Promise<Record<string, unknown>> =>
    (await t.post('/api/v1/events', body)).body;
  const buy = async (id: string): Promise<void> =>
    t.db.transaction(async (manager) =>
      t.test.app
        .get(EnrollmentsService, { strict: false })
        .exitOnPurchase(manager, id, { productKey: 'course-kit', orderId: '1' }),
    );
  const begin = async (steps: string, more = ''): Promise<string> => {
    await t.publish(steps, more);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    return id;
  };
  const two = `${mail('one')}\n${mail('two', ', delay: 1 day')}`;

  it.each([
    ['purchased: course-kit', buy, 'purchased course-kit'],
    ['tag: client', async (id: string) => tag(id, 'client'), 'tagged client'],
    [
      'event: refunded',
      async (subscriberId: string) => tell({ subscriberId, name: 'refunded' }),
      'event refunded',
    ],
  ])('ends the sequence at once, and what was planned is not sent: %s', async (trigger, happens, reason) => {
    const id = await begin(two, `exitOn: [{ ${trigger} }]`);
    expect(await t.mails(id)).toEqual(['one']);
    await happens(id);
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason, nextAt: null });
    expect(await t.mails(id)).toEqual([]);
  });

  const change = async (id: string, fields: object): Promise<void> => {
    const patch = t.test.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect((await patch.send({ fields })).status).toBe(200);
  };

  it.each([
    ['clicked: one', async (id: string) => t.hit(id, 'one', 'click'), 'clicked one'],
    ['opened: one', async (id: string) => t.hit(id, 'one', 'open'), 'opened one'],
    ['field: level, over: 2', async (id: string) => change(id, { level: 3 }), 'field level'],
  ])(
    'leaves the sequence, or goes to a goal, by what a person does: %s',
    async (trigger, happens, reason) => {
      const id = await begin(two, `exitOn: [{ ${trigger} }]`);
      await t.hit(id, 'one', 'click', 'scanner');
      await change(id, { level: 1 });
      await t.run();
      expect(await t.place(id)).toMatchObject({ status: 'active', step: 'two' });
      await happens(id);
      await t.run();
      expect(await t.place(id)).toMatchObject({ status: 'exited', reason });
      const why = await t.test.http
        .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=course&step=two`)
        .set('Authorization', `Bearer ${API_KEY}`);
      expect(JSON.stringify(why.body)).toMatch(/EXITED_BY_(MAIL|FIELD)/);

      const steps = `${two}\n- { key: there, goal: { ${trigger} } }\n${mail('thanks', ', delay: 1 hour')}`;
      await t.publish(steps, 'reentry: always');
      const other = await t.person('other@example.com');
      await t.enroll(other);
      await t.run();
      await happens(other);
      await t.run();
      await t.run();
      expect(await t.place(other)).toMatchObject({ status: 'active', step: 'thanks' });
      expect(await t.outcomes(other)).toEqual({ there: 'reached' });
    },
  );

  it('takes a value that a step sets for a change, too', async () => {
    await t.publish(`- { key: facts, set: { level: 3 } }`, '', 'setter');
    const id = await begin(two, 'exitOn: [{ field: level, is: 3 }]');
    await t.enroll(id, 'setter');
    await t.run();
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'field level' });
  });

  const goal = (more = ''): string => `
${mail('one')}
- { key: pick, if: { clicked: one, within: 3 days }, then: [${mail('more', ', delay: 1 day').slice(2)}] }
${mail('pitch', ', delay: 1 day')}
- { key: bought, goal: [{ purchased: course-kit }, { tag: client }]${more} }
${mail('thanks', ', delay: 1 hour')}`;

  it.each([
    ['from before a branch', '2026-01-05T09:00:00Z', ['thanks']],
    ['while a branch waits', '2026-01-06T09:00:00Z', ['thanks']],
    ['after its last step before', '2026-01-10T09:00:00Z', ['thanks']],
  ])('jumps to the goal %s, and on from there', async (_, at, mails) => {
    const id = await begin(goal());
    await t.at(at);
    await buy(id);
    expect(await t.place(id)).toMatchObject({
      status: 'active',
      step: 'thanks',
      nextAt: new Date(new Date(at).getTime() + 3_600_000),
    });
    expect(await t.outcomes(id)).toMatchObject({ bought: 'reached' });
    await t.at('2026-02-01T09:00:00Z');
    expect(await t.mails(id)).toEqual(mails);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
  });

  it('does not go back to a goal that is behind', async () => {
    const id = await begin(goal());
    await t.gone();
    for (const at of ['2026-01-08T09:00:00Z', '2026-01-09T09:00:00Z', '2026-01-09T10:00:00Z']) await t.at(at);
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    await tag(id, 'client');
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    expect(await t.mails(id)).toEqual(['one', 'pitch', 'thanks']);
    expect(await t.outcomes(id)).toMatchObject({ bought: 'not reached' });
  });

  it('ends at a goal that was not reached, where the goal says so', async () => {
    const id = await begin(
      `${mail('one')}\n- { key: met, goal: { tag: client }, otherwise: end }\n${mail('thanks')}`,
    );
    expect(await t.place(id)).toMatchObject({ status: 'completed' });
    expect(await t.mails(id)).toEqual(['one']);
    const client = await t.person('client@example.com', { tags: ['client'] });
    await t.enroll(client);
    await t.run();
    expect(await t.mails(client)).toEqual(['one', 'thanks']);
  });

  it('hears of a tag that another sequence has given', async () => {
    await t.publish(`- { key: mark, tag: client }`, '', 'second');
    const id = await begin(two, 'exitOn: [{ tag: client }]');
    await t.enroll(id, 'second');
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'tagged client' });
    expect(await t.db.query('select * from sequence_signal')).toEqual([]);
  });

  it('hears of tags that an import gives, once, and of those alone that it asks about', async () => {
    await t.publish(two, 'enterOn: [{ tag: client }]', 'clients');
    const id = await begin(two, 'exitOn: [{ tag: client }]');
    const imports = t.test.app.get(ImportsService, { strict: false });
    const path = join(await mkdtemp(join(tmpdir(), 'wellspring-tags-spec-')), 'people.csv');
    await writeFile(path, 'email\nreader@example.com\nnew@example.com\n');
    const take = async (): Promise<void> => {
      const options = importOptions.parse({
        tags: ['client', 'other'],
        status: 'active',
        consentText: 'Yes',
      });
      const job = await imports.create({ fileName: 'people.csv', dryRun: false, options });
      await imports.takeFile(job.id, path);
      await imports.run(job.id);
    };
    await take();
    expect(await t.db.query('select name, count(*)::int as people from tag_signal group by 1')).toEqual([
      { name: 'client', people: 2 },
    ]);
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'tagged client' });
    expect(await t.place(id, 'clients')).toMatchObject({ status: 'active' });
    const rows: { people: number }[] = await t.db.query(
      `select count(*)::int as people from enrollment e join sequence q on q.id = e.sequence_id where q.key = 'clients'`,
    );
    expect(rows).toEqual([{ people: 2 }]);
    await take();
    expect(await t.db.query('select 1 from tag_signal')).toEqual([]);
    await rm(dirname(path), { recursive: true });
  });

  it('begins a sequence for active people alone', async () => {
    await t.publish(mail('one'), 'enterOn: [{ event: cart-left }, { tag: lead }]');
    const id = await t.person('reader@example.com');
    const gone = await t.person('gone@example.com');
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [gone]);
    await tell({ email: 'reader@example.com', name: 'cart-left' });
    await tag(gone, 'lead');
    await t.run();
    expect(await t.mails(id)).toEqual(['one']);
    expect(await t.place(gone)).toBeUndefined();
  });

  it.each([
    ['', [1, 1, 1]],
    ['reentry: never', [1, 1, 1]],
    ['reentry: always', [2, 3, 4]],
    ['reentry: after 3 days', [1, 2, 2]],
  ])('lets people join again: %s', async (more, occurrences) => {
    const id = await begin(mail('one'), more);
    const joined: unknown[] = [];
    for (const at of ['2026-01-07T09:00:00Z', '2026-01-08T09:00:00Z', '2026-01-09T09:00:00Z']) {
      t.clock.set(at);
      await t.enroll(id);
      await t.run();
      joined.push((await t.place(id))?.occurrence);
    }
    expect(joined).toEqual(occurrences);
    expect(await t.mails(id)).toHaveLength(occurrences.at(-1) ?? 0);
  });

  it('begins a sequence with the first click of a person on a mail of another, and with each mail once', async () => {
    await t.publish(`${mail('offer')}\n${mail('more', ', delay: 1 day')}`, 'reentry: always', 'first');
    await t.publish(mail('hello'), 'enterOn: [{ clicked: offer, sequence: first }]\nreentry: always');
    const reader = await t.person('reader@example.com');
    const left = await t.person('left@example.com');
    const scanner = await t.person('scanner@example.com');
    for (const id of [reader, left, scanner]) await t.enroll(id, 'first');
    await t.run();
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [left]);
    await t.hit(reader, 'offer', 'open');
    await t.hit(scanner, 'offer', 'click', 'scanner');
    await t.run();
    expect([await t.place(reader), await t.place(scanner)]).toEqual([undefined, undefined]);
    await t.hit(reader, 'offer', 'click');
    await t.hit(left, 'offer', 'click');
    await t.run();
    expect(await t.place(reader)).toMatchObject({ status: 'completed', occurrence: 1 });
    expect(await t.place(left)).toBeUndefined();
    // The same mail again, a day later: it has begun it already. Another mail of the step begins it again.
    await t.at('2026-01-06T09:00:00Z');
    await t.hit(reader, 'offer', 'click');
    await t.run();
    expect(await t.place(reader)).toMatchObject({ occurrence: 1 });
    await t.enroll(reader, 'first');
    await t.run();
    await t.hit(reader, 'offer', 'click');
    await t.run();
    expect(await t.place(reader)).toMatchObject({ status: 'completed', occurrence: 2 });
  });

  it('counts clicks from when a sequence has listened for them, also after a restart', async () => {
    await t.publish(mail('offer'), '', 'first');
    const early = await t.person('early@example.com');
    const late = await t.person('late@example.com');
    for (const id of [early, late]) await t.enroll(id, 'first');
    await t.run();
    await t.hit(early, 'offer', 'click');
    t.clock.set('2026-01-05T10:00:00Z');
    await t.publish(
      mail('hello'),
      'enterOn: [{ opened: offer, sequence: first }, { clicked: offer, sequence: first }]',
    );
    t.clock.set('2026-01-05T11:00:00Z');
    await t.hit(late, 'offer', 'click');
    await t.hit(late, 'offer', 'open');
    // Published anew with other steps, it goes on listening; and nothing has looked at the hit so far.
    await t.publish(
      mail('welcome'),
      'enterOn: [{ opened: offer, sequence: first }, { clicked: offer, sequence: first }]',
    );
    await t.run();
    expect([await t.place(early), await t.mails(late)]).toEqual([undefined, ['offer', 'welcome']]);
  });

  it('loses no click when its owner adds another trigger before anything has looked, and takes none from before', async () => {
    await t.publish(mail('offer'), '', 'first');
    const reader = await t.person('reader@example.com');
    const early = await t.person('early@example.com');
    for (const id of [reader, early]) await t.enroll(id, 'first');
    await t.run();
    const clicked = '{ clicked: offer, sequence: first }';
    await t.publish(mail('hello'), `enterOn: [${clicked}]`);
    await t.hit(reader, 'offer', 'click');
    await t.hit(early, 'offer', 'open');
    t.clock.set('2026-01-05T10:00:00Z');
    await t.publish(mail('hello'), `enterOn: [{ opened: offer, sequence: first }, ${clicked}]`);
    await t.run();
    expect([await t.mails(reader), await t.place(early)]).toEqual([['offer', 'hello'], undefined]);
  });

  it('takes what is left of many clicks at once, where another worker was faster with five hundred, and none that is old', async () => {
    await t.publish(mail('offer'), '', 'first');
    const id = await t.person('reader@example.com');
    await t.enroll(id, 'first');
    await t.run();
    await t.publish(mail('hello'), 'enterOn: [{ clicked: offer, sequence: first }]\nreentry: per event');
    const columns = 'class, kind, email_template_id, data, sender, address, address_hash';
    await t.db.query(
      `insert into message (dedupe_key, message_id_header, ${columns}, due_at, created_at, subscriber_id, step_key, funnel_key)
       select 'copy:' || n, 'copy-' || n, ${columns}, due_at, created_at, subscriber_id, step_key, funnel_key
       from message, generate_series(1, 501) n`,
    );
    await t.hit(id, 'offer', 'click');
    const old: { id: string }[] = await t.db.query('select max(message_id) as id from tracking_event');
    await t.db.query(`update tracking_event set at = at - interval '8 days' where message_id = $1`, [
      old[0]?.id,
    ]);
    await t.db
      .query(`update sequence set mail_entries = jsonb_set(mail_entries, '{0,since}', '"2020-01-01T00:00:00Z"')
      where mail_entries is not null`);
    const other = t.db.createQueryRunner();
    await other.startTransaction();
    await other.query(
      `insert into entry_hit (message_id, kind) select message_id, 'clicked' from tracking_event order by message_id limit 500`,
    );
    const running = t.run();
    await untilWaiting(t.db, 1);
    await other.commitTransaction();
    await other.release();
    await running;
    expect(await t.db.query('select count(*)::int as hits from entry_hit')).toEqual([{ hits: 501 }]);
    expect(await t.place(id)).toMatchObject({ occurrence: 1 });
  });

  it('begins a sequence when a field comes to hold what is asked, and as its rule for joining again allows', async () => {
    await t.publish(mail('hello'), 'enterOn: [{ field: level, over: 4 }]\nreentry: after 2 days');
    await t.publish('- { key: up, set: { level: 9 } }', '', 'lifts');
    const id = await t.person('reader@example.com', { fields: { level: 7 } });
    const other = await t.person('other@example.com', { fields: { level: 3 } });
    // What held before is no news, whatever else changes.
    await defineOwnFields(t.db, { city: 'text' });
    await change(id, { city: 'Rome' });
    await change(id, { level: 8 });
    await t.run();
    expect(await t.place(id)).toBeUndefined();
    await change(id, { level: 1 });
    await change(id, { level: 5 });
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'completed', occurrence: 1 });
    for (const level of [1, 6]) await change(id, { level });
    expect(await t.place(id)).toMatchObject({ occurrence: 1 });
    t.clock.set('2026-01-08T09:00:00Z');
    for (const level of [1, 6]) await change(id, { level });
    expect(await t.place(id)).toMatchObject({ occurrence: 2 });
    // A step sets it as well as the owner does.
    await t.enroll(other, 'lifts');
    await t.run();
    expect(await t.place(other)).toMatchObject({ status: 'completed', occurrence: 1 });
  });

  it('lets nobody join again who is still in it', async () => {
    const id = await begin(two, 'reentry: always');
    expect(await t.enroll(id)).toBe('already_enrolled');
  });

  it('lets people join once for each event, two at a time', async () => {
    const more = 'reentry: per event\nenterOn: [{ event: cart-left }]';
    const id = await begin(two, more);
    for (const key of ['a', 'b', 'a']) await tell({ subscriberId: id, name: 'cart-left', key });
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'one', 'one']);
    expect(await t.enroll(id)).toBe('already_enrolled');
    expect(await t.enroll(id, 'course', 'cart-left a')).toBe('already_enrolled');
  });

  it('counts an event that is told twice once, and refuses one of nobody', async () => {
    const id = await t.person('reader@example.com');
    const event = { subscriberId: id, name: 'visited', key: '7', at: '2026-01-01T00:00:00Z' };
    expect(await tell(event)).toMatchObject({ known: false });
    expect(await tell(event)).toMatchObject({ known: true });
    expect(await t.db.query('select name, key, at from subscriber_event')).toEqual([
      { name: 'visited', key: '7', at: new Date('2026-01-01T00:00:00Z') },
    ]);
    expect(await tell({ subscriberId: '999', name: 'visited' })).toMatchObject({
      code: 'SUBSCRIBER_NOT_FOUND',
    });
    expect(await tell({ email: 'nobody@example.com', name: 'visited' })).toMatchObject({
      code: 'SUBSCRIBER_NOT_FOUND',
    });
    expect(await t.post('/api/v1/events', { name: 'visited' })).toMatchObject({ status: 422 });
    expect(await t.post('/api/v1/events', { subscriberId: id, name: 'Not A Name' })).toMatchObject({
      status: 422,
    });
  });

  it('gives the mails of a sequence its priority', async () => {
    const id = await begin(mail('one'), 'priority: 2');
    expect(await t.db.query('select priority from message where subscriber_id = $1', [id])).toEqual([
      { priority: 2 },
    ]);
  });
});
