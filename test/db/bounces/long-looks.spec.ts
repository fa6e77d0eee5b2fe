import { afterAll, beforeAll, expect, it } from 'vitest';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

/** Stands in for a million mails. */
const LOOK_SECONDS = 1.2;

let office: BounceOffice;
beforeAll(async () => {
  office = await openBounceOffice();
});
afterAll(async () => office.close());

it('a report about a broadcast that takes long to count waits for no count while the last was just now: each counted a million mails anew', async () => {
  const id = await office.broadcast();
  await acceptedMails(office, id, 1_000, { group: 'other', domain: 'elsewhere.example' });
  const mails = await acceptedMails(office, id, 8, { group: 'other' });
  await office.db.query(
    `create function slow() returns boolean language plpgsql volatile as $$ begin perform pg_sleep(${LOOK_SECONDS}); return true; end $$;
     alter table mail_domain rename to mail_domain_itself;
     create view mail_domain as select d.* from mail_domain_itself d, (select slow() as waited offset 0) s where s.waited;`,
  );
  await office.db.query(
    `insert into mail_domain_itself (domain, group_key, mx_host, checked_at) values ('example.org', 'other', 'mx.example.org', $1)`,
    [office.clock.now()],
  );
  const tookMs = async (one: string): Promise<number> => {
    const startedMs = performance.now();
    expect(await office.complains(one)).toBe('counted');
    return performance.now() - startedMs;
  };
  expect(await tookMs(mails[0] ?? '')).toBeGreaterThan(LOOK_SECONDS * 1_000);
  for (const one of mails.slice(1)) expect(await tookMs(one)).toBeLessThan(LOOK_SECONDS * 1_000);
  // What came meanwhile is found by the watch.
  await office.db.query(
    `drop view mail_domain; alter table mail_domain_itself rename to mail_domain;
     update message set address = id || '@n' || id || '.example' where id = any(array[${mails.join(',')}])`,
  );
  await office.app.get(RatesWatch, { strict: false }).look();
  expect(await broadcastState(office, id)).toBe('paused');
});
