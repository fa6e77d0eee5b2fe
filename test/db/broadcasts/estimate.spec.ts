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
});
