import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { PeopleMovesService } from '../../src/sequences/moves/people-moves.service.js';
import type { MoveMode } from '../../src/sequences/moves/placement.js';
import { API_KEY, linkIn } from '../support/app.js';
import { settle, visit } from '../db/tracking/trail.js';
import { openWalk, type Walk } from './walk.js';
import { empty } from '../support/database.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const READER = 'reader@example.com';
const NINE = ', delay: 1 day, at: "09:00"';

/** Monday 5 January 2026, 09:00 UTC is when each begins. */
describe('the rules of sequences, walked from the form to the mailbox', () => {
  let t: Walk;
  beforeAll(async () => {
    t = await openWalk();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await cap(null);
    await empty(t.db, 'broadcast, message_attempt');
    await t.clear();
  });

  const cap = async (perDay: number | null): Promise<void> => {
    const put = t.test.http.put('/api/v1/sending/frequency').set('Authorization', `Bearer ${API_KEY}`);
    await put.send({ perDay, perWeek: null }).expect(200);
  };
  const broadcast = async (title: string, priority: number, at: string): Promise<string> => {
    const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };
    const draft = { title, template: 'emails/story', audience: { everybody: true }, sender, priority };
    const { body } = await t.post('/api/v1/broadcasts', draft);
    const id = String(body['id']);
    expect(await t.post(`/api/v1/broadcasts/${id}/start`, { at })).toMatchObject({ status: 200 });
    return id;
  };
  const plan = async (): Promise<void> => {
    await t.test.app.get(JobRunner).run('broadcasts.plan');
  };
  const named = async (state: string): Promise<unknown[]> =>
    t.db.query(
      `select coalesce(m.step_key, b.title) as what, m.state_reason as reason, to_char(
         case when m.state = 'accepted' then m.accepted_at else m.due_at end at time zone 'UTC', 'DD HH24:MI') as at
       from message m join subscriber s on s.id = m.subscriber_id left join broadcast b on b.id = m.broadcast_id
       where s.email_key = $1 and m.class = 'marketing' and m.state = $2
       order by case when m.state = 'accepted' then m.accepted_at else m.due_at end`,
      [READER, state],
    );

  it('send one mail a day of three sequences and two broadcasts that come at once, by priority: none lost, none twice', async () => {
    await cap(1);
    await t.publish(`- ${mail('high', NINE)}`, 'priority: 2\nenterOn: [{ tag: lead }]', 'first');
    await t.publish(`- ${mail('low', NINE)}`, 'priority: 8\nenterOn: [{ tag: lead }]', 'last');
    await t.publish(`- ${mail('urgent')}`, 'priority: 1\nenterOn: [{ tag: asked }]', 'urgent');
    await t.publish(`- { key: mark, tag: lead }\n- ${mail('usual', NINE)}`);
    const id = await t.signUp(READER);
    await t.signUp('other@example.com');
    const news = await broadcast('news', 3, '2026-01-06T09:00:00Z');
    const last = await broadcast('also', 9, '2026-01-06T09:00:00Z');
    t.clock.set('2026-01-06T09:00:00Z');
    await plan();
    await t.until('2026-01-06T09:00:00Z');
    expect(await named('accepted')).toEqual([{ what: 'high', reason: null, at: '06 09:00' }]);
    const reason = 'frequency cap: 1 a day';
    expect(await named('ready')).toEqual([
      { what: 'news', reason, at: '07 09:00' },
      { what: 'usual', reason, at: '08 09:00' },
      { what: 'low', reason, at: '09 09:00' },
      { what: 'also', reason, at: '10 09:00' },
    ]);
    for (const asked of ['&funnel=course&step=usual', `&broadcastId=${news}`]) {
      const path = `/api/v1/messages/explain?subscriberId=${id}${asked}`;
      const why = await t.test.http.get(path).set('Authorization', `Bearer ${API_KEY}`);
      expect(why.body).toMatchObject({ decidedBy: 'FREQUENCY_CAP' });
    }
    // What is more urgent goes before all that waits.
    await t.until('2026-01-06T21:00:00Z');
    await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'asked' });
    await t.until('2026-01-20T00:00:00Z');
    expect(await named('ready')).toEqual([]);
    expect(await named('accepted')).toEqual(
      ['high', 'urgent', 'news', 'usual', 'low', 'also'].map((what, day) => ({
        ...{ what, reason: null, at: `${String(6 + day).padStart(2, '0')} 09:00` },
      })),
    );
    // The other reader asked for nothing more: one day less.
    expect(await t.inbox('other@example.com')).toEqual([
      'Tue 6 Jan 09:00 high',
      'Wed 7 Jan 09:00 broadcast',
      'Thu 8 Jan 09:00 usual',
      'Fri 9 Jan 09:00 low',
      'Sat 10 Jan 09:00 broadcast',
    ]);
    for (const one of [news, last]) {
      await plan();
      const get = t.test.http.get(`/api/v1/broadcasts/${one}`).set('Authorization', `Bearer ${API_KEY}`);
      expect((await get).body).toMatchObject({ state: 'done', complete: true, counts: { accepted: 2 } });
    }
  });

  it('let people join again by the form after so many days from their end, and not before', async () => {
    await t.publish(`- ${mail('one')}\n- ${mail('two', ', delay: 1 day')}`, 'reentry: after 3 days');
    await t.signUp(READER);
    // It ends on the sixth. Whoever asks again presses the button in the mail again.
    for (const early of ['05T20:00', '09T08:59']) {
      await t.until(`2026-01-${early}:00Z`);
      await t.signUp(READER);
    }
    await t.until('2026-01-09T09:00:00Z');
    expect(await t.inbox(READER)).toEqual(['Mon 5 Jan 09:00 one', 'Tue 6 Jan 09:00 two']);
    await t.signUp(READER);
    await t.until('2026-01-20T00:00:00Z');
    expect((await t.inbox(READER)).slice(2)).toEqual(['Fri 9 Jan 09:00 one', 'Sat 10 Jan 09:00 two']);
  });

  it('let people join once for each event that the API tells, also while they are in it', async () => {
    await t.publish(`- ${mail('hello')}`);
    await t.publish(
      `- ${mail('soon', ', delay: 1 hour')}`,
      'reentry: per event\nenterOn: [{ event: booked }]',
      'webinar',
    );
    const id = await t.signUp(READER);
    const tell = async (key?: string): Promise<number> =>
      (await t.post('/api/v1/events', { subscriberId: id, name: 'booked', ...(key && { key }) })).status;
    for (const key of ['june', 'june', 'july']) expect(await tell(key)).toBeLessThan(300);
    await t.until('2026-01-05T11:00:00Z');
    expect(await tell('june')).toBeLessThan(300);
    await t.until('2026-01-06T00:00:00Z');
    expect(await t.inbox(READER)).toEqual([
      'Mon 5 Jan 09:00 hello',
      'Mon 5 Jan 10:00 soon',
      'Mon 5 Jan 10:00 soon',
    ]);
  });

  it('go to a goal by the click of a person, and end by an opening; no scanner does either', async () => {
    await t.publish(
      `- { key: one, email: emails/offer, offer: course-kit }\n- ${mail('rest', ', delay: 5 days')}\n- { key: there, goal: { clicked: one } }\n- ${mail('thanks')}\n- ${mail('later', ', delay: 1 day')}`,
      'exitOn: [{ opened: later }]',
    );
    const [person, machine] = [await t.signUp(READER), await t.signUp('scanned@example.com')];
    await t.until('2026-01-05T12:00:00Z');
    const last = async (address: string): Promise<Parameters<typeof linkIn>[0]> => {
      const found = (await t.test.mailsTo(address)).at(-1);
      if (!found) throw new Error(`nothing has come to ${address}`);
      return found;
    };
    await visit(t.test, linkIn(await last(READER), /\/c\//));
    const scanner = { userAgent: 'Mozilla/5.0 (compatible; Barracuda Sentinel (EE))' };
    await visit(t.test, linkIn(await last('scanned@example.com'), /\/c\//), scanner);
    await settle(t.test);
    for (const minute of ['05', '15', '25']) {
      t.clock.set(`2026-01-05T12:${minute}:00Z`);
      await settle(t.test);
      await t.test.runDue();
    }
    await t.until('2026-01-06T13:00:00Z');
    expect((await t.inbox(READER)).map((line) => line.split(' ').at(-1))).toEqual(['one', 'thanks', 'later']);
    expect((await t.inbox('scanned@example.com')).length).toBe(1);
    expect(await t.place(machine)).toMatchObject({ step: 'rest', status: 'active' });
    expect(await t.place(person)).toMatchObject({ status: 'completed' });
  });

  it.each<[string, MoveMode, string, string]>([
    [
      'a branch',
      { kind: 'forward-only' },
      `- { key: pick, if: { tag: vip }, then: [${mail('x', ', delay: 1 day')}], else: [${mail('y', ', delay: 1 day')}] }`,
      'x y',
    ],
    [
      'a branch',
      { kind: 'catch-up', since: new Date('2026-01-05T00:00:00Z') },
      `- { key: pick, if: { tag: vip }, then: [${mail('x', ', delay: 1 day')}] }\n- ${mail('y', ', delay: 1 day')}`,
      'x y',
    ],
    [
      'a split test of paths',
      { kind: 'forward-only' },
      `- { key: fork, split: { judge: revenue, within: 5 days, arms: [{ key: a, steps: [${mail('x', ', delay: 1 day')}] }, { key: b, steps: [${mail('y', ', delay: 2 days')}] }] } }\n- ${mail('z', ', delay: 1 day')}`,
      'x y z',
    ],
    [
      'a split test of a mail with a holdout',
      { kind: 'catch-up', since: new Date('2026-01-05T00:00:00Z') },
      `- { key: x, email: emails/story, delay: 1 day, split: { judge: clicks, holdout: 20%, arms: [{ key: a }, { key: b, subject: Other }] } }\n- ${mail('y', ', delay: 1 day')}`,
      'x y',
    ],
  ])('count before an edit with %s who gets what behind it: %j', async (_, mode, added, keys) => {
    const frame = (middle: string): string =>
      `- ${mail('a')}\n- ${mail('b', ', delay: 1 day')}\n${middle}\n- ${mail('c', ', delay: 1 day')}\n- ${mail('d', ', delay: 1 day')}`;
    await t.publish(frame(''));
    const people: string[] = [];
    for (let day = 5; day < 8; day++) {
      await t.until(`2026-01-0${day}T09:00:00Z`);
      for (let nth = 0; nth < 3; nth++)
        people.push(await t.person(`r${day}-${nth}@example.com`, { tags: nth % 2 === 0 ? ['vip'] : [] }));
      for (const id of people.slice(-3)) await t.enroll(id);
      await t.test.runDue();
    }
    await t.publish(frame(added));
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    const moves = t.test.app.get(PeopleMovesService, { strict: false });
    const preview = await moves.preview(sequence?.id ?? '', mode);
    const ahead = new Map(await Promise.all(people.map(async (id) => [id, await t.mails(id)] as const)));
    await moves.apply(sequence?.id ?? '', mode);
    await t.until('2026-01-20T00:00:00Z');
    const gained = new Map<string, number>();
    let gainers = 0;
    for (const id of people) {
      const all = await t.mails(id);
      const behind = ahead.get(id) ?? [];
      expect([new Set(all).size, all.slice(0, behind.length)]).toEqual([all.length, behind]);
      const news = all.slice(behind.length).filter((step) => keys.split(' ').includes(step));
      if (news.length > 0) gainers++;
      for (const step of news) gained.set(step, (gained.get(step) ?? 0) + 1);
    }
    const told = preview.gains.filter(({ step }) => keys.split(' ').includes(step));
    expect(told.map(({ step }) => step).toSorted()).toEqual(keys.split(' '));
    for (const { step, sure, people: most } of told) {
      const count = gained.get(step) ?? 0;
      expect([step, count >= sure, count <= most, most > 0]).toEqual([step, true, true, true]);
      if (sure === most) expect([step, count]).toEqual([step, sure]);
    }
    expect([gainers >= preview.gainers.sure, gainers <= preview.gainers.people]).toEqual([true, true]);
  });
});
