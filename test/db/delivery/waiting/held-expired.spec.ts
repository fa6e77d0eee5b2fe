import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { FOREVER, openDesk, type Desk } from '../../broadcasts/desk.js';

const HOUR_MS = 3_600_000;

describe('held mails of a broadcast that is of use until an hour', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => desk.clear());

  const states = async (): Promise<string[]> => {
    const rows: { row: string }[] = await desk.t.db.query(
      `select count(*) || ' ' || state || ': ' || coalesce(state_reason, '') as row from message group by state, state_reason order by 1`,
    );
    return rows.map(({ row }) => row);
  };
  const alerts = async (): Promise<string[]> =>
    (await desk.t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);
  /** Three are held, as they were to go while nothing ran. */
  const late = async (): Promise<string> => {
    const { t } = desk;
    await t.app.get(OverdueService, { strict: false }).setSettings({ policy: 'ask', afterHours: 2 });
    await desk.people(3);
    await t.sendDue();
    const id = await desk.started({ expiresAt: new Date(t.clock.now().getTime() + 30 * HOUR_MS) });
    await desk.planner.run(FOREVER);
    t.clock.advance(5 * HOUR_MS);
    await t.sendDue();
    expect(await states()).toEqual(['3 held: overdue after an outage']);
    expect(await alerts()).toContain('sending:overdue');
    return id;
  };

  it('were held behind it for ever, their broadcast ran on, and the owner was asked still', async () => {
    const id = await late();
    const look = async (): Promise<void> => {
      await desk.t.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
      await desk.planner.run(FOREVER);
    };
    await look();
    expect(await states()).toEqual(['3 held: overdue after an outage']);
    desk.t.clock.advance(30 * HOUR_MS);
    await look();
    expect(await states()).toEqual(['3 expired: overdue after an outage, too late to be sent']);
    expect(await alerts()).not.toContain('sending:overdue');
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', complete: true });
  });

  it('were asked about for hours after their broadcast was cancelled, but not before', async () => {
    const id = await late();
    const other = await desk.started({ expiresAt: null });
    await desk.planner.run(FOREVER);
    await desk.t.db.query(
      `update message set state = 'held', state_reason = 'overdue after an outage' where broadcast_id = $1`,
      [other],
    );
    await desk.broadcasts.cancel(other);
    await desk.planner.run(FOREVER);
    expect(await alerts()).toContain('sending:overdue');
    await desk.broadcasts.cancel(id);
    await desk.planner.run(FOREVER);
    expect(await states()).toEqual(['6 cancelled: broadcast cancelled']);
    expect(await alerts()).not.toContain('sending:overdue');
  });

  it('were counted as let go, and ended at their next turn, when the owner said so behind it', async () => {
    const id = await late();
    desk.t.clock.advance(30 * HOUR_MS);
    const held = desk.t.app.get(HeldService, { strict: false });
    expect(await held.release({ broadcastId: id })).toBe(0);
    expect(await states()).toEqual(['3 expired: overdue after an outage, too late to be sent']);
  });
});
