import { afterAll, beforeAll, expect, it } from 'vitest';
import { BroadcastMailsQueries } from '../../../src/delivery/broadcast-mails.queries.js';
import { SplitQueries } from '../../../src/broadcasts/split.queries.js';
import { openDesk, SPLIT, type Desk } from './desk.js';

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
  expect(await t.app.get(SplitQueries, { strict: false }).isBeingTried(id)).toBe(true);
});
