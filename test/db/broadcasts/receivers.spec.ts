import { afterAll, beforeAll, expect, it } from 'vitest';
import { PLAN_BROADCASTS } from '../../../src/broadcasts/broadcasts.service.js';
import { MX_RESOLVER } from '../../../src/delivery/pacing/mail-domains.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { openDesk, type Desk } from './desk.js';

let desk: Desk;
const asked: string[] = [];
beforeAll(async () => {
  desk = await openDesk({ SMTP_URL: 'smtp://127.0.0.1:1', DKIM_RECORD_CHECK: 'warn' });
  Object.assign(desk.t.app.get(MX_RESOLVER, { strict: false }), {
    mx: async (domain: string) => {
      asked.push(domain);
      return domain === 'company.example.org' ? [{ exchange: 'aspmx.l.google.com', priority: 1 }] : [];
    },
  });
});
afterAll(async () => desk.t.close());

it('whose servers take the mails of a new list is found before its first broadcast is planned', async () => {
  await desk.people(2);
  for (const email of ['a@company.example.org', 'b@company.example.org', 'c@company.example.org'])
    await desk.t.subscriber(email);
  await desk.t.subscriber('paused@elsewhere.example.org', { status: 'unsubscribed' });
  await desk.started();
  await desk.t.app.get(JobRunner, { strict: false }).run(PLAN_BROADCASTS);
  expect(asked).toEqual(['company.example.org', 'example.com']);
  expect(
    await desk.t.db.query('select lane_key as lane, count(*)::int from message group by 1 order by 1'),
  ).toEqual([
    { lane: 'example.com|gmail', count: 3 },
    { lane: 'example.com|other', count: 2 },
  ]);
});
