import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import {
  OVERDUE,
  overdueSql,
  RESTORED,
  restoredSql,
  type OverdueSettings,
} from '../../../../src/delivery/message/overdue.js';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { insertMessage, openPacing, openWorker, OPENED_AT, type PacingApp } from '../pacing/pacing-app.js';
import { empty } from '../../../support/database.js';

const HOUR_MS = 3_600_000;
const at = (hours: number): Date => new Date(OPENED_AT.getTime() + hours * HOUR_MS);

describe('mails that an outage has made late', () => {
  let t: PacingApp;
  let overdue: OverdueService;
  let held: HeldService;
  beforeAll(async () => {
    t = await openPacing();
    overdue = t.app.get(OverdueService);
    held = t.app.get(HeldService);
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await empty(t.db, 'message, setting, alert');
    overdue.forgetCache();
    t.clock.set(OPENED_AT);
  });

  /** What the claim does with the parameters. */
  async function claim(app = t): Promise<void> {
    const { restored, late } = await app.app.get(OverdueService).parameters();
    const isRestored = restoredSql('m', { confirmedAt: '$1', action: '$2' });
    const isLate = overdueSql('m', { overdueBefore: '$3', dueBy: '$4', action: '$5' });
    await t.db.query(
      `update message m set state = case when ${isRestored} then $2 when ${isLate} then $5 else 'leased' end,
         state_reason = case when ${isRestored} then '${RESTORED}' when ${isLate} then '${OVERDUE}' end
       where state = 'ready' and due_at <= $6`,
      [
        ...[restored?.confirmedAt, restored?.action],
        ...[late?.overdueBefore, late?.dueBy, late?.action, app.clock.now()],
      ],
    );
  }
  const states = async (): Promise<unknown> => {
    const rows: { state: string }[] = await t.db.query('select state from message order by id');
    return rows.map(({ state }) => state);
  };
  /** Workers are there at hour 0, away until hour 72, and find mails of every hour in between. */
  async function threeDaysAway(settings?: OverdueSettings): Promise<unknown> {
    if (settings) await overdue.setSettings(settings);
    await claim();
    for (const hours of [1, 40, 50, 71]) await insertMessage(t.db, { due_at: at(hours) });
    await insertMessage(t.db, { due_at: at(1), class: 'transactional' });
    t.clock.set(at(72));
    await claim();
    return states();
  }

  it('are held after three days until the owner decides, if they are marketing and a day late', async () => {
    expect(await threeDaysAway()).toEqual(['held', 'held', 'leased', 'leased', 'leased']);
    expect((await held.counts()).held).toEqual([
      { reason: 'overdue after an outage', broadcastId: null, count: 2 },
    ]);
    expect(await t.app.get(AlertsService).open()).toMatchObject([
      { key: 'sending:overdue', message: expect.stringContaining('72 hours') },
    ]);
  });

  it('are skipped when the policy says so', async () => {
    expect(await threeDaysAway({ policy: 'skip', afterHours: 24 })).toEqual([
      'expired',
      'expired',
      'leased',
      'leased',
      'leased',
    ]);
    expect(await t.app.get(AlertsService).open()).toEqual([]);
  });

  it('are sent when the policy says so', async () => {
    expect(new Set((await threeDaysAway({ policy: 'send', afterHours: 24 })) as string[])).toEqual(
      new Set(['leased']),
    );
  });

  it('are those later than the hours that were set', async () => {
    expect(await threeDaysAway({ policy: 'ask', afterHours: 2 })).toEqual([
      'held',
      'held',
      'held',
      'leased',
      'leased',
    ]);
  });

  it('are no others: a broadcast that takes days under a quota goes on', async () => {
    await insertMessage(t.db, { due_at: at(0) });
    for (let hours = 0; hours <= 100; hours++) {
      t.clock.set(at(hours));
      expect(await overdue.parameters()).toMatchObject({ restored: null, late: null });
    }
    await claim();
    expect(await states()).toEqual(['leased']);
  });

  it('are not those that were still to come when sending went on, of a broadcast decided before', async () => {
    await claim();
    for (const hours of [40, 71, 73, 90])
      await insertMessage(t.db, { due_at: at(hours), planned_for: at(10) });
    t.clock.set(at(72));
    await claim();
    expect(await states()).toEqual(['held', 'held', 'ready', 'ready']);
    t.clock.set(at(91));
    await claim();
    expect(await states()).toEqual(['held', 'held', 'leased', 'leased']);
  });

  it('are those, too, that were tried in the last minutes of it and come up again after it', async () => {
    await claim();
    const retried = { planned_for: at(10), relay: 'one' };
    await insertMessage(t.db, { ...retried, due_at: new Date(at(72).getTime() + 5 * 60_000) });
    await insertMessage(t.db, { ...retried, due_at: at(80) });
    await insertMessage(t.db, { ...retried, planned_for: at(60), due_at: at(72) });
    t.clock.set(at(72));
    await claim();
    expect(await t.app.get(AlertsService).open()).toMatchObject([{ key: 'sending:overdue' }]);
    t.clock.set(at(81));
    await claim();
    expect(await states()).toEqual(['held', 'leased', 'leased']);
  });

  it('are noticed although a clock was a day ahead for a while, and none is taken for late by that', async () => {
    await claim();
    t.clock.set(at(30));
    await claim();
    t.clock.set(at(1));
    await insertMessage(t.db, { due_at: at(0.5) });
    await claim();
    expect(await states()).toEqual(['leased']);
    await insertMessage(t.db, { due_at: at(2) });
    t.clock.set(at(28));
    await claim();
    expect(await states()).toEqual(['leased', 'held']);
  });

  it('are no trouble where nothing was due', async () => {
    await claim();
    t.clock.set(at(72));
    await insertMessage(t.db, { due_at: at(72) });
    await claim();
    expect(await states()).toEqual(['leased']);
    expect(await t.app.get(AlertsService).open()).toEqual([]);
  });

  it('are known to every worker, also to one that comes back a moment later', async () => {
    await claim();
    t.clock.set(at(72));
    await claim();
    const second = await openWorker(t.url, { clock: t.clock });
    t.clock.advance(1_000);
    await insertMessage(t.db, { due_at: at(1) });
    await claim(second);
    await second.close();
    expect(await states()).toEqual(['held']);
  });

  it('go out when the owner releases them, and are not taken for overdue again', async () => {
    await threeDaysAway();
    expect(await held.release({ reason: 'something else' })).toBe(0);
    expect(await t.app.get(AlertsService).open()).toHaveLength(1);
    expect(await held.release({ reason: 'overdue after an outage' })).toBe(2);
    expect(await t.app.get(AlertsService).open()).toEqual([]);
    await claim();
    expect(new Set((await states()) as string[])).toEqual(new Set(['leased']));
  });

  it('can be cancelled by broadcast', async () => {
    const broadcasts: { id: string }[] = await t.db.query(
      `insert into broadcast (title, email_template_id, sender, created_at)
       select x, (select id from email_template limit 1), '{}', now() from unnest('{a,b}'::text[]) x returning id`,
    );
    for (const { id } of broadcasts)
      await insertMessage(t.db, { state: 'held', state_reason: 'r', broadcast_id: id });
    await insertMessage(t.db, { state: 'held', state_reason: 'r' });
    expect(await held.cancel({ broadcastId: broadcasts[1]?.id })).toBe(1);
    expect(await states()).toEqual(['held', 'cancelled', 'held']);
    expect(await held.cancel({})).toBe(2);
  });

  it('are held when they were due before the owner confirmed a restored backup, though planned after it', async () => {
    const guard = t.app.get(GenerationGuard);
    await guard.maySend();
    await t.db.query(
      `update setting set value = value || '{"refused": {"reason": "older", "generation": 1, "counter": 9}}' where key = 'ledger.generation'`,
    );
    t.clock.set(at(2));
    await guard.confirm('hold');
    overdue.forgetCache();
    await insertMessage(t.db, { due_at: at(1) });
    await insertMessage(t.db, { due_at: at(2) });
    await claim();
    expect(await states()).toEqual(['held', 'leased']);
    expect((await held.counts()).held).toMatchObject([{ reason: 'restored backup' }]);
  });
});
