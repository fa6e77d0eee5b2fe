import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

describe('mails that are put off again and again, while the relay takes others', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice();
    t.sink.onRecipient = async (address) =>
      address.startsWith('slow') ? { code: 451, text: '4.7.1 Too many messages, slow down' } : undefined;
  });
  afterEach(async () => t.close());

  const look = async (): Promise<void> => {
    await t.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
  };
  /** Put off once more and then on each of the days before, so often a day; both clocks move on. */
  const putOffFor = async (days: number, { aDay = 24 } = {}): Promise<void> => {
    await t.sendDue();
    t.clock.advance(days * DAY_MS);
    await t.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select a.message_id, a.epoch + g, s.at, s.at, 'RCPT TO', 'ready'
       from message_attempt a join message m on m.id = a.message_id and m.state = 'ready',
         generate_series(1, ceil($1::float8 * $2::float8)::int) g,
         lateral (select a.started_at + g * interval '1 day' / $2::float8 as at) s`,
      [days, aDay],
    );
    await t.db.query(
      `update message_attempt set started_at = started_at - $1 * interval '1 day', finished_at = finished_at - $1 * interval '1 day'`,
      [days],
    );
    await t.db.query(
      `update message m set lease_epoch = (select max(epoch) from message_attempt a where a.message_id = m.id)
       where state = 'ready' and exists (select 1 from message_attempt a where a.message_id = m.id)`,
    );
  };
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id)).state));
  const alertKeys = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);

  it('end after five days, receipts after seven, and the owner is told for a week: they were tried for ever', async () => {
    const news = await t.plan('slow-news@example.org');
    const receipt = await t.plan('slow-receipt@example.org', { class: 'transactional', kind: 'receipt' });
    await putOffFor(4.9);
    await look();
    expect(await states(news, receipt)).toEqual(['ready', 'ready']);
    const other = await t.plan('other@example.org');
    await t.sendDue();
    await t.db.query(`update message_attempt set started_at = started_at - interval '6 hours'`);
    await look();
    expect(await states(news, receipt, other)).toEqual(['expired', 'ready', 'accepted']);
    expect(await t.state(news)).toMatchObject({ reason: 'put off at every try for 5 days' });
    expect(await alertKeys()).toEqual(['sending:put-off']);
    await t.db.query(`update message_attempt set started_at = started_at - interval '2 days'`);
    t.clock.advance(8 * DAY_MS);
    await look();
    expect(await alertKeys()).toEqual([]);
  });

  it('end after five days as well where a busy mailbox puts them off for two hours each time', async () => {
    t.sink.onRecipient = async () => ({
      code: 450,
      text: '4.2.1 The user you are trying to contact is receiving mail at a rate that prevents more',
    });
    const news = await t.plan('busy@example.org');
    await putOffFor(6, { aDay: 12 });
    await empty(t.db, 'send_bucket');
    await t.sendDue();
    // Put off just now, for two hours.
    expect(await t.state(news)).toMatchObject({ state: 'ready', attempt: 0, reason: 'mailbox_busy' });
    await look();
    expect(await states(news)).toEqual(['expired']);
  });

  it('wait on while their own pace keeps them: they were hardly tried', async () => {
    const paced = await t.plan('slow-paced@example.org');
    await putOffFor(9, { aDay: 0.3 });
    await look();
    expect(await states(paced)).toEqual(['ready']);
  });

  it('wait on where they were never tried, however long ago they were due', async () => {
    const waiting = await t.plan('slow-waiting@example.org');
    t.clock.advance(30 * DAY_MS);
    await look();
    expect(await states(waiting)).toEqual(['ready']);
  });

  it('wait on where the owner has paused them', async () => {
    const paused = await t.plan('slow-paused@example.org');
    await putOffFor(6);
    await t.db.query(
      `insert into sequence_pause (funnel_key, reason, paused_at) values ('niche-ebook', 'by the owner', now())`,
    );
    await look();
    expect(await states(paused)).toEqual(['ready']);
  });

  it('a mail that is beyond one relay, while the other never comes back, ends as well', async () => {
    const waits = await t.plan('fine@example.org');
    await t.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select $1, g, clock_timestamp() - g * interval '1 hour', clock_timestamp(), 'kept waiting', 'ready' from generate_series(1, 125) g`,
      [waits],
    );
    await t.db.query(
      `update message set lease_epoch = 125, planned_for = due_at, due_at = $2,
         state_reason = 'the relay that may take it does not work at present' where id = $1`,
      [waits, new Date(t.clock.now().getTime() + MINUTE_MS)],
    );
    await look();
    expect(await states(waits)).toEqual(['expired']);
  });

  it('a mail that kills each worker that takes it up ends as well, after days', async () => {
    const kills = await t.plan('fine@example.org');
    await t.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select $1, -g, clock_timestamp() - g * interval '1 hour', clock_timestamp(), 'envelope', 'left_behind' from generate_series(1, 125) g`,
      [kills],
    );
    await t.db.query('update message set lease_epoch = 125, planned_for = due_at where id = $1', [kills]);
    await look();
    expect(await states(kills)).toEqual(['expired']);
  });
});
