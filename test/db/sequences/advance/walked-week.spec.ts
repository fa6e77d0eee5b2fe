import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { empty } from '../../../support/database.js';

const STORY = 'email: emails/story';

const EARLY = ['Sat 28 09:30 early', 'Sun 29 18:00 last', 'Mon 30 08:00 late', 'Mon 30 08:00 gone'];
const REPLAY = ['Mon 30 10:00 replay', 'Mon 30 10:00 hours'];
const everywhere = (lines: string[]): Record<string, string[]> => ({
  Berlin: lines,
  New_York: lines,
  Lord_Howe: lines,
});
const capped = (days: string[]): string[] =>
  ['high1', 'high2', 'high3', 'low1', 'low2', 'low3'].map(
    (step, place) => `${days[place] ?? ''} 09:30 ${step}`,
  );

/** Clocks go forward in Berlin on 29 March, and back by half an hour on Lord Howe Island on 5 April. */
describe(
  'a sequence lived through the weeks in which clocks change goes by each reader’s own',
  { timeout: 300_000 },
  () => {
    let t: Course;
    beforeAll(async () => {
      t = await openCourse();
    });
    afterAll(async () => t?.test.close());
    afterEach(async () => {
      await cap(null);
      await t.clear();
      await empty(t.db, 'message_attempt');
    });

    const cap = async (perDay: number | null): Promise<void> => {
      await t.test.http
        .put('/api/v1/sending/frequency')
        .set('Authorization', `Bearer ${API_KEY}`)
        .send({ perDay, perWeek: null })
        .expect(200);
    };
    const tell = async (subscriberId: string, name: string, key?: string): Promise<void> => {
      const told = await t.post('/api/v1/events', {
        subscriberId,
        name,
        ...(key === undefined ? {} : { key }),
      });
      expect(told.status).toBe(201);
    };

    /** Goes from one time at which something is due to the next, as workers do that look every few seconds. */
    const liveUntil = async (stop: string, does: Record<string, () => Promise<void>> = {}): Promise<void> => {
      const until = new Date(stop);
      const acts = Object.entries(does).map(([at, act]) => ({ at: new Date(at), act }));
      for (let turns = 0; turns < 400; turns++) {
        await t.test.runDue();
        const [{ next }] = (await t.db.query(
          `select least((select min(next_at) from enrollment where status = 'active' and next_at > $1),
           (select min(due_at) from message where state = 'ready' and due_at > $1)) as next`,
          [t.clock.now()],
        )) as [{ next: Date | null }];
        const act = acts[0];
        const at =
          [next, act?.at, until]
            .filter((one): one is Date => one instanceof Date)
            .toSorted((a, b) => a.getTime() - b.getTime())[0] ?? until;
        if (at >= until) break;
        t.clock.set(at.toISOString());
        if (act !== undefined && act.at <= at) {
          acts.shift();
          await act.act();
        }
      }
      t.clock.set(stop);
      await t.test.runDue();
    };
    /** What a reader got, when by their own clock. */
    const got = async (id: string, zone: string): Promise<string[]> => {
      const rows: { line: string }[] = await t.db.query(
        `select to_char(accepted_at at time zone $2, 'Dy DD HH24:MI') || ' ' || step_key as line
       from message where subscriber_id = $1 and state = 'accepted' and step_key is not null order by accepted_at, id`,
        [id, zone],
      );
      return rows.map(({ line }) => line);
    };
    const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'];
    const readers = async (fields: Record<string, unknown> = {}): Promise<{ id: string; zone: string }[]> =>
      Promise.all(
        ZONES.map(async (zone) => ({
          zone,
          id: await t.person(`${zone.split('/')[1]}@example.com`.toLowerCase(), { timeZone: zone, fields }),
        })),
      );
    /** By the last part of each reader's zone. */
    const gotBy = async (people: { id: string; zone: string }[]): Promise<Record<string, string[]>> =>
      Object.fromEntries(
        await Promise.all(
          people.map(async ({ id, zone }) => [zone.split('/')[1] ?? zone, await got(id, zone)]),
        ),
      );

    it('an early bird with a date, which nobody is late for', async () => {
      t.clock.set('2026-03-26T09:10:00Z');
      await t.publish(`- { key: hello, ${STORY} }
- { key: early, ${STORY}, delay: 2 days, at: "09:30", expires: 2026-03-28 }
- { key: last, ${STORY}, until: "2026-03-29 18:00" }
- { key: late, ${STORY}, until: 2026-03-30, at: "08:00" }
- { key: gone, ${STORY}, until: 2026-03-27 }`);
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-04-06T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        Berlin: ['Thu 26 10:10 hello', ...EARLY],
        New_York: ['Thu 26 05:10 hello', ...EARLY],
        Lord_Howe: ['Thu 26 20:10 hello', ...EARLY],
      });
    });

    it('a webinar by a date field, at an hour that is skipped in Berlin', async () => {
      t.clock.set('2026-03-25T09:10:00Z');
      await t.publish(`- { key: hello, ${STORY} }
- { key: remind, ${STORY}, until: { field: trialEnd, minus: 1 day }, at: "18:00" }
- { key: day, ${STORY}, until: { field: trialEnd }, at: "02:30" }
- { key: replay, ${STORY}, until: { field: trialEnd, plus: 1 day }, at: "10:00" }
- { key: hours, ${STORY}, until: { field: trialEnd, plus: 30 hours } }`);
      const people = await readers({ trialEnd: '2026-03-29' });
      const none = await t.person('none@example.com');
      for (const { id } of [...people, { id: none }]) await t.enroll(id);
      await liveUntil('2026-04-06T00:00:00Z');
      expect(await gotBy([...people, { id: none, zone: 'UTC' }])).toEqual({
        Berlin: ['Wed 25 10:10 hello', 'Sat 28 18:00 remind', 'Sun 29 03:00 day', ...REPLAY],
        New_York: ['Wed 25 05:10 hello', 'Sat 28 18:00 remind', 'Sun 29 02:30 day', ...REPLAY],
        Lord_Howe: ['Wed 25 20:10 hello', 'Sat 28 18:00 remind', 'Sun 29 02:30 day', ...REPLAY],
        UTC: ['Wed 25 09:10 hello'],
      });
    });

    it('a win-back that waits for a new login, with a time-out', async () => {
      t.clock.set('2026-03-27T22:10:00Z');
      await t.publish(`- { key: ask, ${STORY} }
- { key: back, if: { event: login, since: step, within: 3 days }, then: [{ key: thanks, ${STORY} }], else: [{ key: miss, ${STORY}, at: "02:30" }] }
- { key: again, if: { event: login, since: step, within: 1 day }, then: [{ key: regular, ${STORY}, delay: 1 day, at: "10:00" }], else: [{ key: bye, ${STORY} }] }`);
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      const [one, two] = people;
      await liveUntil('2026-04-06T00:00:00Z', {
        '2026-03-28T23:00:00Z': async () => tell(one?.id ?? '', 'login'),
        '2026-03-29T01:30:00Z': async () => tell(one?.id ?? '', 'login'),
        '2026-03-29T01:31:00Z': async () => tell(two?.id ?? '', 'login'),
      });
      expect(await gotBy(people)).toEqual({
        Berlin: ['Fri 27 23:10 ask', 'Sun 29 00:00 thanks', 'Mon 30 10:00 regular'],
        New_York: ['Fri 27 18:10 ask', 'Sat 28 21:31 thanks', 'Sun 29 21:31 bye'],
        Lord_Howe: ['Sat 28 09:10 ask', 'Wed 01 02:30 miss', 'Thu 02 02:30 bye'],
      });
    });

    it('weekdays alone, from a Friday afternoon on', async () => {
      t.clock.set('2026-03-27T15:40:00Z');
      const days = [1, 2, 3, 4, 5].map((n) => `- { key: d${n}, ${STORY}, delay: 1 day }`).join('\n');
      await t.publish(days, 'window: { days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00" }');
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-04-10T00:00:00Z');
      expect(await gotBy(people)).toEqual(
        everywhere([
          'Mon 30 09:00 d1',
          'Tue 31 09:00 d2',
          'Wed 01 09:00 d3',
          'Thu 02 09:00 d4',
          'Fri 03 09:00 d5',
        ]),
      );
    });

    it('quiet hours across midnight', async () => {
      t.clock.set('2026-03-28T09:10:00Z');
      const steps = [1, 2, 3, 4, 5].map((n) => `- { key: q${n}, ${STORY}, delay: 13 hours }`).join('\n');
      await t.publish(steps, 'quietHours: { from: "22:00", to: "07:00" }');
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-04-06T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        Berlin: [
          'Sun 29 07:00 q1',
          'Sun 29 20:00 q2',
          'Mon 30 09:00 q3',
          'Tue 31 07:00 q4',
          'Tue 31 20:00 q5',
        ],
        New_York: [
          'Sat 28 18:10 q1',
          'Sun 29 07:10 q2',
          'Sun 29 20:10 q3',
          'Mon 30 09:10 q4',
          'Tue 31 07:00 q5',
        ],
        Lord_Howe: [
          'Sun 29 09:10 q1',
          'Mon 30 07:00 q2',
          'Mon 30 20:00 q3',
          'Tue 31 09:00 q4',
          'Wed 01 07:00 q5',
        ],
      });
    });

    it('months from the last day of January on', async () => {
      t.clock.set('2026-01-31T09:10:00Z');
      await t.publish(
        `- { key: m0, ${STORY} }\n- { key: m1, ${STORY}, delay: 1 month }\n- { key: m2, ${STORY}, delay: 1 month, at: "02:30" }\n- { key: m3, ${STORY}, delay: 1 month }`,
      );
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-06-01T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        Berlin: ['Sat 31 10:10 m0', 'Sat 28 10:10 m1', 'Sat 28 02:30 m2', 'Tue 28 02:30 m3'],
        New_York: ['Sat 31 04:10 m0', 'Sat 28 04:10 m1', 'Sat 28 02:30 m2', 'Tue 28 02:30 m3'],
        Lord_Howe: ['Sat 31 20:10 m0', 'Sat 28 20:10 m1', 'Sat 28 02:30 m2', 'Tue 28 02:30 m3'],
      });
    });

    it('once for each order, told twice or not', async () => {
      t.clock.set('2026-03-28T22:00:00Z');
      await t.publish(
        `- { key: thanks, ${STORY} }\n- { key: review, ${STORY}, delay: 1 day, at: "02:30" }`,
        'enterOn: [{ event: order }]\nreentry: per event',
      );
      const people = await readers();
      const id = people[0]?.id ?? '';
      await liveUntil('2026-04-01T00:00:00Z', {
        '2026-03-28T22:30:00Z': async () => tell(id, 'order', 'a'),
        '2026-03-28T22:31:00Z': async () => tell(id, 'order', 'a'),
        '2026-03-28T23:30:00Z': async () => tell(id, 'order', 'b'),
      });
      expect(await gotBy(people)).toEqual({
        Berlin: ['Sat 28 23:30 thanks', 'Sun 29 00:30 thanks', 'Sun 29 03:00 review', 'Mon 30 02:30 review'],
        New_York: [],
        Lord_Howe: [],
      });
    });

    it('two of different priority under a cap of one a day', async () => {
      t.clock.set('2026-03-28T20:10:00Z');
      await cap(1);
      const steps = (k: string): string =>
        [1, 2, 3].map((n) => `- { key: ${k}${n}, ${STORY}, delay: 1 day, at: "09:30" }`).join('\n');
      await t.publish(steps('low'), 'priority: 5', 'low');
      await t.publish(steps('high'), 'priority: 1', 'high');
      const people = await readers();
      for (const { id } of people) for (const key of ['low', 'high']) await t.enroll(id, key);
      await liveUntil('2026-04-08T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        Berlin: capped(['Sun 29', 'Mon 30', 'Tue 31', 'Wed 01', 'Thu 02', 'Fri 03']),
        New_York: capped(['Sun 29', 'Mon 30', 'Tue 31', 'Wed 01', 'Thu 02', 'Fri 03']),
        Lord_Howe: capped(['Mon 30', 'Tue 31', 'Wed 01', 'Thu 02', 'Fri 03', 'Sat 04']),
      });
    });

    it('an hour of the night on each day, also that on which Berlin skips it', async () => {
      t.clock.set('2026-03-27T12:00:00Z');
      await t.publish(
        [1, 2, 3, 4].map((n) => `- { key: n${n}, ${STORY}, delay: 1 day, at: "02:30" }`).join('\n'),
      );
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-04-06T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        ...everywhere(['Sat 28 02:30 n1', 'Sun 29 02:30 n2', 'Mon 30 02:30 n3', 'Tue 31 02:30 n4']),
        Berlin: ['Sat 28 02:30 n1', 'Sun 29 03:00 n2', 'Mon 30 02:30 n3', 'Tue 31 02:30 n4'],
      });
    });

    it('Sundays in the hours in which clocks change', async () => {
      t.clock.set('2026-03-24T12:00:00Z');
      await t.publish(
        `- { key: s1, ${STORY}, onDays: [sun], at: "02:00" }\n- { key: s2, ${STORY}, delay: 1 hour, onDays: [sun], window: { days: [sun], from: "01:00", to: "03:00" } }\n- { key: s3, ${STORY}, delay: 1 week, at: "03:00" }`,
      );
      const people = await readers();
      for (const { id } of people) await t.enroll(id);
      await liveUntil('2026-04-20T00:00:00Z');
      expect(await gotBy(people)).toEqual({
        ...everywhere(['Sun 29 02:00 s1', 'Sun 05 01:00 s2', 'Sun 12 03:00 s3']),
        Berlin: ['Sun 29 03:00 s1', 'Sun 05 01:00 s2', 'Sun 12 03:00 s3'],
      });
    });
  },
);
