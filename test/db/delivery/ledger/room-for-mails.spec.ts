import { afterAll, beforeAll, expect, it } from 'vitest';
import { FOREVER, openDesk, type Desk } from '../../broadcasts/desk.js';

const MAILS = 600;

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => desk.t.close());

it('most mails of a broadcast stay on the page on which they were planned: with less room most moved, and a quarter of the barriers wrote to each index', async () => {
  await desk.people(MAILS);
  const id = await desk.started();
  await desk.planner.run(FOREVER);
  const pages = async (): Promise<Map<string, string>> => {
    const rows: { id: string; page: string }[] = await desk.t.db.query(
      `select id, split_part(trim(ctid::text, '()'), ',', 1) as page from message`,
    );
    return new Map(rows.map((row) => [row.id, row.page]));
  };
  const planned = await pages();
  await desk.settle(id);
  expect(desk.taken()).toHaveLength(MAILS);
  const moved = [...(await pages())].filter(([mail, page]) => planned.get(mail) !== page);
  expect(moved.length).toBeLessThan(MAILS / 2);
});
