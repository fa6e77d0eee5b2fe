import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('a broadcast that is not to go at all behind its hour', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => desk.clear());

  const at = async (time: string): Promise<void> => {
    desk.t.clock.set(`2026-03-${time}:00Z`);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    await desk.planner.run(FOREVER);
  };

  it.each([
    ['went in the night when a pause ended then', '03T02:00', { expired: 2 }],
    ['goes when a pause ended soon behind it', '02T15:00', { accepted: 2 }],
  ])('%s', async (_, resumed, counts) => {
    await desk.people(2);
    const { id } = await desk.broadcasts.create(desk.draft());
    const local = { atLocal: '2026-03-02T12:00', fallbackZone: 'UTC', ifPassed: 'skip' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
    await at('02T11:00');
    await desk.broadcasts.pause(id);
    await at('02T14:00');
    desk.t.clock.set(`2026-03-${resumed}:00Z`);
    await desk.broadcasts.resume(id);
    await at(resumed);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', counts });
  });

  it.each(['skip', 'nextDay'] as const)(
    'ended all the rest of one that its pace kept until the evening, or put it off for a day, when a pause of minutes was over (%s)',
    async (ifPassed) => {
      await desk.people(2);
      const { id } = await desk.broadcasts.create(desk.draft());
      const local = { atLocal: '2026-03-02T12:00', fallbackZone: 'UTC', ifPassed };
      await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
      for (const hour of [11, 12, 16, 20]) {
        desk.t.clock.set(`2026-03-02T${hour}:00:00Z`);
        await desk.planner.run(FOREVER);
      }
      await desk.broadcasts.pause(id);
      await at('02T20:01');
      expect(desk.taken()).toEqual([]);
      await desk.broadcasts.resume(id);
      await at('02T20:05');
      expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', counts: { accepted: 2 } });
    },
  );

  it.each([
    ['skip', { expired: 4 }],
    ['nextDay', { ready: 4 }],
  ] as const)(
    'went in the night to those whose mails a pause had left unwritten, and not to the others (%s)',
    async (ifPassed, counts) => {
      await desk.people(4);
      const { id } = await desk.broadcasts.create(desk.draft());
      const local = { atLocal: '2026-03-02T12:00', fallbackZone: 'UTC', ifPassed };
      await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
      await at('02T11:00');
      await desk.broadcasts.pause(id);
      // As if it had come in the midst of planning.
      await desk.t.db.query(
        `with unwritten as (delete from message where id in (select id from message order by id desc limit 2) returning id)
         update broadcast set planned_at = null, planned_count = 2, cursor_subscriber_id = (
           select max(subscriber_id) from message where id not in (select id from unwritten))`,
      );
      await at('02T14:00');
      desk.t.clock.set('2026-03-03T02:00:00Z');
      await desk.broadcasts.resume(id);
      await at('03T02:00');
      expect((await desk.broadcasts.get(id)).counts).toEqual(counts);
    },
  );
});
