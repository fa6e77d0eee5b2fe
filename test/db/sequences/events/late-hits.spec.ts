import { afterAll, beforeAll, expect, it } from 'vitest';
import { LateHitsService } from '../../../../src/sequences/events/late-hits.service.js';
import type { EntityManager } from 'typeorm';
import { openDesk, type Desk } from '../../broadcasts/desk.js';

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => {
  await desk.clear();
  await desk.t.close();
});

it('a hit that is stored late is found also where a second worker looks, or one that has just started', async () => {
  const { t } = desk;
  await desk.people(1);
  const id = await desk.started();
  await desk.settle(id);
  const hit = async (db: EntityManager): Promise<string> => {
    const [row]: [{ id: string }] = await db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       select 'click', id, 'human', 'as the test says', 1, $1 from message returning id`,
      [t.clock.now()],
    );
    return row.id;
  };
  const worker = (): LateHitsService => new LateHitsService(t.db, t.clock);
  const seen = async (by: LateHitsService): Promise<string[]> => {
    const look = await by.look('waits');
    const found: string[] = [];
    for await (const ids of look?.pages() ?? []) found.push(...ids);
    await look?.done(null);
    return found;
  };
  const first = worker();
  for (const _ of [1, 2]) {
    await hit(t.db.manager);
    await seen(first);
    t.clock.advance(600_001);
  }
  const late = t.db.createQueryRunner();
  await late.startTransaction();
  const stored = await hit(late.manager);
  await hit(t.db.manager);
  expect(await seen(first)).not.toContain(stored);
  t.clock.advance(5_000);
  expect(await seen(worker())).not.toContain(stored);
  await late.commitTransaction();
  await late.release();
  t.clock.advance(600_001);
  expect(await seen(first)).toContain(stored);
  // And costs no more than before.
  t.clock.advance(600_001);
  await seen(first);
  t.clock.advance(600_001);
  expect(await seen(first)).toEqual([]);
});
