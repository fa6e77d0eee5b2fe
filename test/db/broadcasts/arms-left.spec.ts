import { AbstractLogger } from 'typeorm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BroadcastMailsQueries } from '../../../src/delivery/planning/broadcast-mails.queries.js';
import { SplitQueries } from '../../../src/broadcasts/split.queries.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => {
  await desk.clear();
  await desk.t.close();
});

it('what is left of a stopped arm is asked for without a read of the rest of the broadcast', async () => {
  const { t } = desk;
  await desk.people(2_000);
  const id = await desk.started({ split: { ...SPLIT, testPercent: 5 } });
  await desk.planner.run({ deadline: Infinity, signal: new AbortController().signal });
  await t.db.query('analyze message');
  const runner = t.db.createQueryRunner();
  const reads = async (ask: () => Promise<unknown>): Promise<number> => {
    await runner.startTransaction();
    const read = async (): Promise<number> => {
      const [{ n }]: [{ n: string }] = await runner.query(
        `select pg_stat_get_xact_tuples_fetched('message'::regclass) + pg_stat_get_xact_tuples_returned('message'::regclass) as n`,
      );
      return Number(n);
    };
    const before = await read();
    await ask();
    const after = await read();
    await runner.commitTransaction();
    return after - before;
  };
  const mails = t.app.get(BroadcastMailsQueries, { strict: false });
  const waiting = async (): Promise<unknown> =>
    mails.waitingOfArms(runner.manager, id, { arms: [1, -2], limit: 2_000 });
  expect(await waiting()).not.toEqual([]);
  expect(await reads(waiting)).toBeLessThan(400);
  await runner.release();
  expect(await t.app.get(SplitQueries, { strict: false }).isBeingTried(id, SPLIT)).toBe(true);
});

it('what a pause has held is looked for only in a broadcast that was paused', async () => {
  const { t } = desk;
  await desk.clear();
  await desk.people(3);
  const id = await desk.started();
  await desk.planner.run(FOREVER);
  const held = async (): Promise<number> => {
    let asked = 0;
    const { logger } = t.db;
    t.db.logger = new (class extends AbstractLogger {
      override logQuery(query: string): void {
        if (/select min\(due_at\).*state = 'held'/.test(query)) asked++;
      }
      protected override writeLog(): void {}
    })();
    await desk.planner.run(FOREVER).finally(() => (t.db.logger = logger));
    return asked;
  };
  expect(await held()).toBe(0);
  await desk.broadcasts.pause(id);
  await t.sendDue();
  expect((await desk.broadcasts.get(id)).counts).toEqual({ held: 3 });
  await desk.broadcasts.resume(id);
  expect(await held()).toBe(1);
  expect((await desk.broadcasts.get(id)).counts).toEqual({ ready: 3 });
});
