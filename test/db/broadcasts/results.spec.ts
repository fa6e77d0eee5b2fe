import { afterAll, beforeAll, expect, it } from 'vitest';
import { BroadcastReports } from '../../../src/broadcasts/broadcast-reports.service.js';
import { JobRegistry } from '../../../src/infra/jobs/job-registry.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

let desk: Desk;
beforeAll(async () => {
  desk = await openDesk();
});
afterAll(async () => desk.t.close());

it('counts what was refused among what bounced and was tried, and an unclear mail as taken once it was read: four of five bounced were 400 %', async () => {
  await desk.people(6);
  desk.t.sink.onRecipient = async (address) =>
    /p[2-5]@/.test(address) ? { code: 550, text: '5.1.1 No such user' } : undefined;
  // Nobody knows whether it was taken.
  desk.t.sink.onBody = async (_, [to]) => (to === 'p6@example.com' ? 'drop' : undefined);
  const id = await desk.started();
  await desk.planner.run(FOREVER);
  await desk.t.sendDue();
  await desk.t.app.get(JobRegistry, { strict: false }).get('bounces.take-refusals')?.run(FOREVER);
  const reports = desk.t.app.get(BroadcastReports, { strict: false });
  const counted = async (): Promise<object> => {
    const { sent, tried, bounced } = await reports.results(id);
    return { sent, tried, bounced };
  };
  expect(await counted()).toEqual({ sent: 1, tried: 5, bounced: 4 });
  await desk.t.db.query(
    `insert into tracking_event (kind, class, reason, rule_version, message_id, at)
     select 'open', 'human', 'a reader', 1, id, $1 from message where state = 'unknown'`,
    [desk.t.clock.now()],
  );
  expect(await counted()).toEqual({ sent: 2, tried: 6, bounced: 4 });
});
