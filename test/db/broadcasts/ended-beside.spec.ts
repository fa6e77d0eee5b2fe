import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FOREVER, openDesk, type Desk } from './desk.js';

const MAILS = 3_000;
const ENDED = 4;

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => desk.t.close());

it('broadcasts that have ended do not have the whole ledger read every few seconds while another is on its way', async () => {
  await desk.people(MAILS);
  const running = await desk.started();
  await desk.planner.run(FOREVER);
  await desk.t.db.query(
    `insert into broadcast (title, email_template_id, sender, audience, state, created_at, started_at, ended_at)
     select title, email_template_id, sender, audience, 'done', created_at, started_at, started_at
     from broadcast, generate_series(1, $2::int) where id = $1`,
    [running, ENDED],
  );
  await desk.t.db.query('analyze message, broadcast');
  const asked = vi.spyOn(desk.t.db, 'query');
  await desk.planner.run(FOREVER);
  const looks = asked.mock.calls.filter(([sql]) => /^\s*select/.test(sql) && sql.includes('from message'));
  asked.mockRestore();
  expect(looks.length).toBeGreaterThan(1);
  for (const [sql, values] of looks) {
    const rows: Record<string, string>[] = await desk.t.db.query(`explain ${sql}`, values as unknown[]);
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).not.toContain('Seq Scan on message');
  }
});
