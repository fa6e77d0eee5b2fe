import { afterAll, beforeAll, expect, it } from 'vitest';
import { openShop, type Shop } from '../../orders/shop.js';
import { insertMessage } from './pacing-app.js';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(async () => shop.close());

it('/metrics tells how many mails are due and since when, which are unclear, and which relay is left alone', async () => {
  await insertMessage(shop.db, { due_at: new Date(shop.clock.now().getTime() - 3_600_000) });
  await insertMessage(shop.db, { due_at: new Date(shop.clock.now().getTime() + 3_600_000) });
  const unclear = await insertMessage(shop.db, { due_at: shop.clock.now() });
  await shop.db.query(`update message set state = 'unknown' where id = $1`, [unclear]);
  await shop.db.query(
    `insert into relay_state (key, state, updated_at) values ('main', 'closed', now()), ('second', 'open', now())`,
  );
  await shop.db.query(
    `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
     values ($1, 1, clock_timestamp(), clock_timestamp(), 'body', 'unknown')`,
    [unclear],
  );
  const { text } = await shop.http.get('/metrics').expect(200);
  const lines = text.split('\n').filter((line) => /^wellspring_(?:mails|relay|attempts)/.test(line));
  expect(lines).toEqual([
    'wellspring_mails_due 1',
    'wellspring_mails_oldest_due_seconds 3600',
    'wellspring_mails_claimed 0',
    'wellspring_mails_unknown 1',
    'wellspring_mails_held 0',
    'wellspring_relay_open{relay="main"} 0',
    'wellspring_relay_open{relay="second"} 1',
    'wellspring_attempts_last_minute{outcome="unknown"} 1',
  ]);
});

it('/metrics has its other numbers while the database does not answer', async () => {
  const away = await openShop();
  await away.db.query('alter table message rename to message_away');
  const { text } = await away.http.get('/metrics').expect(200);
  expect(text).toContain('process_cpu_seconds_total');
  expect(text).not.toMatch(/^wellspring_mails/m);
  await away.close();
});
