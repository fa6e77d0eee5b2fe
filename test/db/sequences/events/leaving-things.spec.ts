import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { importOptions } from '../../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../../src/imports/imports.service.js';
import { ListsService } from '../../../../src/subscribers/lists.service.js';
import { BROWSER } from '../../orders/shop.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { empty } from '../../../support/database.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const LATER = `- ${mail('one', ', delay: 9 days')}`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a tag that is taken off, a list that is joined or left, and a product that goes back', () => {
  let t: Course;
  let list = '';
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  beforeEach(async () => {
    list = (await lists().create({ key: 'readers', title: 'Readers', description: '', isPublic: false })).id;
  });
  afterEach(async () => {
    await t.clear();
    await empty(t.db, 'list, listened_list, list_signal, orders');
  });

  const lists = (): ListsService => t.test.app.get(ListsService, { strict: false });
  const api = async (method: 'post' | 'delete', path: string, body: object = {}): Promise<number> =>
    (await t.test.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body))
      .status;
  const untag = async (id: string): Promise<void> => {
    expect(await api('delete', `subscribers/${id}/tags/vip`)).toBe(200);
  };
  const putOn = async (id: string): Promise<void> => {
    expect(await api('post', `lists/${list}/subscribers`, { subscriberId: id })).toBe(200);
    await t.run();
  };
  const leave = async (id: string): Promise<void> => {
    expect(await api('delete', `lists/${list}/subscribers/${id}`)).toBe(200);
    await t.run();
  };
  const buy = async (email: string): Promise<string> => {
    const { headers } = await t.test.http
      .post('/checkout/shop-kit')
      .set('User-Agent', BROWSER)
      .type('form')
      .send({ email })
      .expect(303);
    await t.test.http.post(String(headers['location'])).type('form').send({ outcome: 'paid' }).expect(303);
    const [{ id }] = (await t.db.query('select max(id) as id from orders')) as [{ id: string }];
    return id;
  };
  /** Without receipts. */
  const mailsOf = async (id: string): Promise<string[]> =>
    (await t.mails(id)).filter((step: string | null) => step !== null);
  const giveBack = async (order: string): Promise<void> => {
    expect(await api('post', `orders/${order}/refund`)).toBe(200);
  };

  /** What is there before, and what happens. */
  const HAPPENINGS: Record<
    string,
    { before: (id: string) => Promise<unknown>; does: (id: string, had: unknown) => Promise<void> }
  > = {
    '{ untagged: vip }': { before: async () => undefined, does: untag },
    '{ list: readers }': { before: async () => undefined, does: putOn },
    '{ unlisted: readers }': { before: putOn, does: leave },
    '{ refunded: shop-kit }': {
      before: async () => buy('reader@example.com'),
      does: async (_, order) => giveBack(String(order)),
    },
  };
  const REASONS: Record<string, string> = {
    '{ untagged: vip }': 'untagged vip',
    '{ list: readers }': 'joined list readers',
    '{ unlisted: readers }': 'left list readers',
    '{ refunded: shop-kit }': 'refunded shop-kit',
  };
  /** Each in the funnel whose product it is. */
  const KEY = 'shop';

  it.each(Object.keys(HAPPENINGS))('ends a sequence: %s', async (trigger) => {
    await t.publish(LATER, `exitOn: [${trigger}]`, KEY);
    const id = await t.person('reader@example.com', { tags: ['vip'] });
    const had = await HAPPENINGS[trigger]?.before(id);
    await t.enroll(id, KEY);
    await HAPPENINGS[trigger]?.does(id, had);
    expect(await t.place(id, KEY)).toMatchObject({ status: 'exited', reason: REASONS[trigger] });
  });

  it.each(Object.keys(HAPPENINGS))('leads to a goal, which nobody is at before: %s', async (trigger) => {
    await t.publish(`${LATER}\n- { key: there, goal: ${trigger} }\n- ${mail('two')}`, '', KEY);
    const id = await t.person('reader@example.com', { tags: ['vip'] });
    const other = await t.person('other@example.com');
    const had = await HAPPENINGS[trigger]?.before(id);
    for (const one of [id, other]) await t.enroll(one, KEY);
    await HAPPENINGS[trigger]?.does(id, had);
    await t.run();
    expect(await mailsOf(id)).toEqual(['two']);
    await t.at('2026-01-14T09:00:00Z');
    expect(await t.outcomes(other)).toEqual({ there: 'not reached' });
  });

  it.each(Object.keys(HAPPENINGS))('begins a sequence, once: %s', async (trigger) => {
    await t.publish(LATER, `enterOn: [${trigger}]`, KEY);
    const id = await t.person('reader@example.com', { tags: ['vip'] });
    const had = await HAPPENINGS[trigger]?.before(id);
    expect(await t.place(id, KEY)).toBeUndefined();
    await HAPPENINGS[trigger]?.does(id, had);
    expect(await t.place(id, KEY)).toMatchObject({ status: 'active' });
  });

  it('is no news where it was so already', async () => {
    await t.publish(
      LATER,
      'enterOn: [{ untagged: vip }, { unlisted: readers }, { list: readers }]\nreentry: always',
    );
    const id = await t.person('reader@example.com');
    await untag(id);
    await leave(id);
    expect(await t.place(id)).toBeUndefined();
    await putOn(id);
    const { id: first } = (await t.place(id)) ?? {};
    await t.test.http
      .post(`/api/v1/enrollments/${String(first)}/exit`)
      .set('Authorization', `Bearer ${API_KEY}`);
    await t.db.query(`update enrollment set status = 'completed', ended_at = started_at`);
    t.clock.set('2026-01-06T09:00:00Z');
    await putOn(id);
    expect(await t.place(id)).toMatchObject({ occurrence: 1 });
  });

  it('is heard when a step of another sequence takes the tag off, of who had it alone', async () => {
    await t.publish(`- { key: off, untag: [vip, gold] }`, '', 'second');
    await t.publish(LATER, 'enterOn: [{ untagged: gold }]', 'third');
    await t.publish(LATER, 'exitOn: [{ untagged: vip }]');
    const id = await t.person('reader@example.com', { tags: ['vip'] });
    for (const key of ['course', 'second']) await t.enroll(id, key);
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'untagged vip' });
    expect(await t.place(id, 'third')).toBeUndefined();
  });

  it('is asked about in branches, and waited for', async () => {
    await t.publish(
      `- { key: ask, if: { list: readers, within: 2 days }, then: [${mail('listed')}], else: [${mail('unlisted')}] }
- { key: back, if: { refunded: shop-kit }, then: [${mail('sorry')}], else: [${mail('kept')}] }`,
      '',
      KEY,
    );
    const id = await t.person('reader@example.com');
    const order = await buy('reader@example.com');
    const other = await t.person('other@example.com');
    await buy('other@example.com');
    for (const one of [id, other]) await t.enroll(one, KEY);
    await t.run();
    await giveBack(order);
    t.clock.set('2026-01-06T09:00:00Z');
    await putOn(id);
    await t.run();
    expect(await mailsOf(id)).toEqual(['listed', 'sorry']);
    await t.at('2026-01-07T09:00:00Z');
    expect(await mailsOf(other)).toEqual(['unlisted', 'kept']);
  });

  it('is heard of many at once: an import puts people on a list, and who is on one arrives', async () => {
    await t.publish(LATER, 'enterOn: [{ list: readers }]');
    const waiting = await t.person('waiting@example.com');
    await t.db.query(`update subscriber set status = 'pending' where id = $1`, [waiting]);
    await putOn(waiting);
    expect(await t.place(waiting)).toBeUndefined();
    const imports = t.test.app.get(ImportsService, { strict: false });
    const path = join(await mkdtemp(join(tmpdir(), 'wellspring-lists-spec-')), 'people.csv');
    await writeFile(path, 'email\nwaiting@example.com\nnew@example.com\n');
    const options = importOptions.parse({ lists: ['readers'], status: 'active', consentText: 'Yes' });
    const job = await imports.create({ fileName: 'people.csv', dryRun: false, options });
    await imports.takeFile(job.id, path);
    await imports.run(job.id);
    await rm(dirname(path), { recursive: true });
    await t.run();
    const rows = await t.db.query(
      `select s.email, e.occurrence from enrollment e join subscriber s on s.id = e.subscriber_id order by s.email`,
    );
    expect(rows).toEqual(['new', 'waiting'].map((name) => ({ email: `${name}@example.com`, occurrence: 1 })));
    expect(await t.db.query('select 1 from list_signal')).toEqual([]);
  });

  it('is heard of in the order in which it happened: who joined a list, left it and joined again was left out', async () => {
    await t.publish(LATER, 'enterOn: [{ list: readers }]\nexitOn: [{ unlisted: readers }]\nreentry: always');
    const id = await t.person('reader@example.com');
    const other = await t.person('other@example.com');
    for (const [who, path] of [
      [id, 'post'],
      [other, 'post'],
      [id, 'delete'],
      [id, 'post'],
      [other, 'delete'],
    ] as const) {
      const way = path === 'post' ? `lists/${list}/subscribers` : `lists/${list}/subscribers/${who}`;
      expect(await api(path, way, path === 'post' ? { subscriberId: who } : {})).toBe(200);
    }
    await t.run();
    expect(await t.place(id)).toMatchObject({ status: 'active', occurrence: 2 });
    expect(await t.place(other)).toMatchObject({ status: 'exited', occurrence: 1 });
  });

  it('keeps a list that a sequence asks for from being removed, and warns of one that is not there', async () => {
    const plan = await t.publish(LATER, 'enterOn: [{ list: readers }, { unlisted: writers }]');
    expect(plan.warnings.filter(({ rule }) => rule === 'list-to-come').map(({ field }) => field)).toEqual([
      'sequence.enterOn.1.unlisted',
    ]);
    await expect(lists().removeList(list)).rejects.toThrow(
      'The list "readers" is used by the sequence "A course"',
    );
  });

  it('sends nobody round for ever: a step that takes off the tag that begins its own sequence is refused', async () => {
    const round = t.publish('- { key: off, untag: vip }', 'enterOn: [{ untagged: vip }]\nreentry: always');
    await expect(round).rejects.toThrow('people go round course → course for ever');
    const unknown = t.publish(LATER, 'exitOn: [{ refunded: nothing }]');
    await expect(unknown).rejects.toThrow('sequence.exitOn.0.refunded: there is no product "nothing"');
  });
});
