import { afterAll, beforeAll, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

let t: PostOffice;
beforeAll(async () => {
  t = await openPostOffice();
});
afterAll(async () => t?.close());

const WAITING = 30_000;

it('lets tens of thousands that wait for a cap go bit by bit when it is lifted: none could be claimed before all were looked at', async () => {
  const first = await t.plan('reader@example.org');
  await t.db.query(
    `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, state,
       state_reason, due_at, created_at, lane_key)
     select 'c:' || n, class, kind, email_template_id, sender, n || '@example.org', decode(md5(n::text), 'hex'), '<' || n || '@example.com>',
       'ready', 'frequency cap: 1 a day', $2::timestamptz + interval '1 day', $2, lane_key
     from message cross join generate_series(1, $3::int) n where id = $1`,
    [first, t.clock.now(), WAITING],
  );
  const caps = t.app.get(FrequencyCapService, { strict: false });
  await caps.set({ perDay: 1, perWeek: null });
  await caps.set({ perDay: null, perWeek: null });
  await t.db.query(
    `update setting set updated_at = updated_at - interval '3 seconds' where key = 'sending.frequency.raised'`,
  );
  const due = async (): Promise<number> => {
    const [row]: { count: number }[] = await t.db.query(
      `select count(*)::int as count from message where state_reason is not null and due_at <= $1`,
      [t.clock.now()],
    );
    return row?.count ?? 0;
  };
  let isOver = false;
  const looking = caps.lookAgain().finally(() => {
    isOver = true;
  });
  const seen = new Set<number>();
  while (!isOver) seen.add(await due());
  await looking;
  expect(await due()).toBe(WAITING);
  expect([...seen].filter((count) => count > 0 && count < WAITING).length).toBeGreaterThan(0);
  expect(await t.db.query(`select 1 from setting where key = 'sending.frequency.raised'`)).toEqual([]);
});
