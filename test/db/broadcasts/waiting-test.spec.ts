import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MAILS = 1_000;

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => desk.t.close());

interface Plan {
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Looked at, whether they were wanted or not. */
function rowsOf(plan: Plan): number {
  const own =
    ((plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)) * (plan['Actual Loops'] ?? 1);
  return own + (plan.Plans ?? []).reduce((total, part) => total + rowsOf(part), 0);
}

it.each([
  ['put off by their relay', `state = 'ready', attempt = 1, state_reason = 'greylisted'`],
  ['held for the owner', `state = 'held', state_reason = 'overdue after an outage'`],
])('a split test that waits, its mails %s, had all of them read at each look', async (_, change) => {
  await desk.clear();
  await desk.people(MAILS);
  const id = await desk.started({ split: { ...SPLIT, testPercent: 100 } });
  await desk.planner.run(FOREVER);
  await desk.t.db.query(`update message set ${change}`);
  await desk.t.db.query('vacuum analyze message');
  const asked = vi.spyOn(desk.t.db, 'query');
  await desk.planner.run(FOREVER);
  const looks = asked.mock.calls.filter(
    ([sql]) => /^\s*(select|with)/.test(sql) && sql.includes('from message'),
  );
  asked.mockRestore();
  expect(looks.length).toBeGreaterThan(1);
  expect((await desk.broadcasts.get(id)).decideAt).toBeNull();
  for (const [sql, values] of looks) {
    const [row]: { 'QUERY PLAN': { Plan: Plan }[] }[] = await desk.t.db.query(
      `explain (analyze, format json) ${sql}`,
      values as unknown[],
    );
    expect([sql, rowsOf(row?.['QUERY PLAN'][0]?.Plan ?? {})]).toEqual([
      sql,
      expect.toSatisfy((rows: number) => rows < 20),
    ]);
  }
});
