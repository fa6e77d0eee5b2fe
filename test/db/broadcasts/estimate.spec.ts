import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastUpkeep } from '../../../src/broadcasts/broadcast-upkeep.service.js';
import { PacingService } from '../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../src/delivery/pacing/sending.schemas.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';
import { empty } from '../../support/database.js';

describe('the estimate of a broadcast', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => {
    await desk.clear();
    await empty(desk.t.db, 'send_bucket');
    desk.t.app.get(PacingService, { strict: false }).forgetCache();
  });

  const limit = async (perSecond: number): Promise<void> => {
    await desk.t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perSecond, burst: 1 } }));
    await desk.t.db.query('update send_bucket set tokens = 0');
  };

  it('counts whose mail is still to be written: it looked as if it were through', async () => {
    await desk.people(30);
    const left = await desk.tagged('left@example.com', []);
    await desk.t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [left]);
    await limit(0.01);
    const id = await desk.started();
    await desk.t.app.get(BroadcastUpkeep, { strict: false }).begin(id);
    const { state, estimate } = await desk.broadcasts.get(id);
    expect(state).toBe('planning');
    expect(estimate).toMatchObject({ remaining: 30, unwritten: 30, waitsForTest: 0 });
    const hours = ((estimate?.completesAt?.getTime() ?? 0) - desk.t.clock.now().getTime()) / 3_600_000;
    // Thirty at one in a hundred seconds.
    expect(hours).toBeGreaterThan(0.6);
    await desk.planner.run(FOREVER);
    expect((await desk.broadcasts.get(id)).estimate).toMatchObject({ remaining: 30, unwritten: 0 });
  });

  it('leaves out of those whom a split test is to hold out', async () => {
    await desk.people(40);
    const id = await desk.started({ split: { ...SPLIT, holdout: '10 %' } });
    await desk.t.app.get(BroadcastUpkeep, { strict: false }).begin(id);
    expect((await desk.broadcasts.get(id)).estimate).toMatchObject({ remaining: 36, unwritten: 36 });
  });

  it('counts what waits for the split test, and that nothing of it goes before that is judged', async () => {
    await desk.people(60);
    const id = await desk.started({ split: SPLIT });
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    await desk.planner.run(FOREVER);
    const { counts, decideAt, estimate } = await desk.broadcasts.get(id);
    const { held = 0 } = counts;
    expect(held).toBeGreaterThan(0);
    expect(estimate).toMatchObject({ remaining: held, waitsForTest: held, unwritten: 0 });
    expect(estimate?.completesAt?.getTime()).toBeGreaterThanOrEqual(decideAt?.getTime() ?? Infinity);
  });

  const LOCAL = { fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
  const endHours = async (id: string): Promise<number> =>
    ((await desk.broadcasts.get(id)).estimate?.completesAt?.getTime() ?? 0) / 3_600_000;

  it('begins to count when its mails are due: all of tomorrow morning were said to go in one moment', async () => {
    await desk.people(36);
    await limit(0.001);
    const { id } = await desk.broadcasts.create(desk.draft());
    const timing = { local: { ...LOCAL, atLocal: '2026-03-03T09:00' }, spreadMinutes: 0 };
    await desk.broadcasts.start(id, null, timing);
    desk.t.clock.set('2026-03-02T20:00:00Z');
    await desk.planner.run(FOREVER);
    const dueHours = Date.parse('2026-03-03T09:00:00Z') / 3_600_000;
    expect((await endHours(id)) - dueHours).toBeCloseTo(35 / 3.6, 1);
    // A receipt and whatever else is due before goes first, and what is due later does not.
    await desk.t.db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at, created_at, lane_key)
       select 'other:' || h, class, kind, email_template_id, sender, address, address_hash, 'other:' || h, due_at + (h - 3) * interval '1 hour', created_at, lane_key
       from message cross join generate_series(1, 10) h where id = (select min(id) from message)`,
    );
    expect((await endHours(id)) - dueHours).toBeCloseTo(36 / 3.6, 1);
  });

  it('knows that the rest of a split test waits for the hour of its readers: it was to go with the decision', async () => {
    await desk.people(60);
    await desk.t.db.query(`update subscriber set time_zone = 'Pacific/Honolulu' where email like 'p1%'`);
    const { id } = await desk.broadcasts.create(desk.draft({ split: SPLIT }));
    const timing = { local: { ...LOCAL, atLocal: '2026-03-03T09:00' }, spreadMinutes: 0 };
    await desk.broadcasts.start(id, null, timing);
    desk.t.clock.set('2026-03-02T20:00:00Z');
    await desk.planner.run(FOREVER);
    await limit(10);
    const { decideAt, estimate } = await desk.broadcasts.get(id);
    expect(decideAt).toBeNull();
    expect(estimate?.waitsForTest).toBeGreaterThan(0);
    // Tested until nine on Hawaii, which is 19:00 UTC, judged two hours later, and then the next day at nine there.
    expect(estimate?.completesAt?.toISOString()).toMatch(/^2026-03-04T19:00:/);
  });

  it('takes as many evenings as its mails do: at a low pace it was to be through in the first night', async () => {
    await desk.people(90);
    await desk.t.db.query(`update subscriber set time_zone = 'Europe/Berlin'`);
    const { id } = await desk.broadcasts.create(desk.draft());
    const timing = { local: { ...LOCAL, atLocal: '2026-03-03T12:00' }, spreadMinutes: 0 };
    await desk.broadcasts.start(id, null, timing);
    desk.t.clock.set('2026-03-02T23:00:00Z');
    await desk.planner.run(FOREVER);
    // In the ten hours from twelve to ten go 36.
    await limit(0.001);
    const hours = (await endHours(id)) - Date.parse('2026-03-05T11:00:00Z') / 3_600_000;
    expect(hours).toBeGreaterThan(4);
    expect(hours).toBeLessThan(5.1);
  });

  it('knows the same of the rest of its split test', async () => {
    await desk.people(60);
    const { id } = await desk.broadcasts.create(desk.draft({ split: SPLIT }));
    const timing = { local: { ...LOCAL, atLocal: '2026-03-03T21:00' }, spreadMinutes: 0 };
    await desk.broadcasts.start(id, null, timing);
    desk.t.clock.set('2026-03-03T08:00:00Z');
    await desk.planner.run(FOREVER);
    // Thirty take four evenings, in each of which it is nine in an hour and eight in the second, the test and the rest.
    await limit(0.0011);
    const { estimate } = await desk.broadcasts.get(id);
    expect(estimate?.completesAt?.toISOString()).toMatch(/^2026-03-1\dT2[12]:/);
  });
});
