import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import type { OverduePolicy } from '../../../../src/delivery/message/overdue.js';
import { SendingService } from '../../../../src/delivery/pacing/sending.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { SignedDomains } from '../../../../src/delivery/signing/signed-domains.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { StaleMails } from '../../../../src/delivery/waiting/stale-mails.service.js';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openPostOffice, OPENED_AT, SENDER, type PostOffice } from '../post-office.js';

const HOUR_MS = 3_600_000;
const EVERY_HOURS = 4;
const at = (hours: number): Date => new Date(OPENED_AT.getTime() + hours * HOUR_MS);

describe('mails that were late when what kept them was mended, while the relays worked all along', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice({ DEMO: 'false' });
  });
  afterEach(async () => t.close());

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id))['state']));
  const alerts = async (): Promise<string[]> =>
    (await get(AlertsService).open()).map(({ key }) => key).toSorted();
  async function readerOf(id: string): Promise<string> {
    const rows: { of: string }[] = await t.db.query('select subscriber_id as of from message where id = $1', [
      id,
    ]);
    return rows[0]?.of ?? '';
  }
  /** A worker looks every few hours: no silence of a day. */
  async function hours(from: number, to: number): Promise<void> {
    for (let hour = from; hour <= to; hour += EVERY_HOURS) {
      t.clock.set(at(hour));
      await t.sendDue();
    }
  }
  /** The key is missing from Monday 09:00 on, and put right on Friday at the same hour. */
  async function fourDaysWithoutKey(policy?: OverduePolicy): Promise<string[]> {
    if (policy) await get(OverdueService).setSettings({ policy, afterHours: 24 });
    await get(SignedDomains).noteSigned(['example.com']);
    const early = await t.plan('early@example.org');
    const receipt = await t.plan('receipt@example.org', { class: 'transactional', kind: 'receipt' });
    const fresh = await t.plan('fresh@example.org', { dueAt: at(90) });
    await hours(0, 96);
    expect(t.sink.mails).toHaveLength(0);
    await get(SignedDomains).forget('example.com');
    await hours(97, 98);
    return [early, receipt, fresh];
  }

  it('left at once after four days without a DKIM key, and nobody was asked', async () => {
    const [early = '', receipt = '', fresh = ''] = await fourDaysWithoutKey();
    expect(await states(early, receipt, fresh)).toEqual(['held', 'accepted', 'accepted']);
    expect(await t.state(early)).toMatchObject({ reason: 'overdue after an outage' });
    expect(await alerts()).toEqual(['sending:overdue']);
    expect(await get(HeldService).release({})).toBe(1);
    expect(await alerts()).toEqual([]);
    expect(await t.sendDue()).toBe(1);
    expect(await states(early)).toEqual(['accepted']);
  });

  it('are skipped where the policy says so', async () => {
    expect(await states(...(await fourDaysWithoutKey('skip')))).toEqual(['expired', 'accepted', 'accepted']);
    expect(await alerts()).toEqual([]);
  });

  it('are sent where the policy says so', async () => {
    expect(await states(...(await fourDaysWithoutKey('send')))).toEqual(['accepted', 'accepted', 'accepted']);
  });

  /** Of what is planned: from 09:00 to 17:00 UTC, every day or on those that are named, 0 for Monday. */
  async function openByDay(ids: string[], days = [0, 1, 2, 3, 4, 5, 6]): Promise<void> {
    const spans = days.map((day) => ({ start: day * 1440 + 540, end: day * 1440 + 1020 }));
    await t.db.query(
      `with h as (insert into send_hours (spans, time_zone) values ($1, 'UTC') returning id)
       update message m set send_hours_id = h.id from h where m.id = any($2::bigint[])`,
      [JSON.stringify(spans), ids],
    );
  }

  it('left all at once when the key came back after days, where they have hours: each evening had made them new', async () => {
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    await openByDay([id]);
    await hours(0, 8);
    expect(await t.state(id)).toMatchObject({ state: 'ready', dueAt: at(24) });
    await hours(12, 72);
    await get(SignedDomains).forget('example.com');
    await hours(75, 76);
    expect(t.sink.mails).toHaveLength(0);
    expect(await states(id)).toEqual(['held']);
    expect(await alerts()).toContain('sending:overdue');
  });

  it('were skipped where the key was missing for minutes, before days on which they may not go', async () => {
    await get(OverdueService).setSettings({ policy: 'skip', afterHours: 24 });
    const id = await t.plan('early@example.org', { dueAt: at(7) });
    await openByDay([id], [0, 3]);
    t.clock.set(at(7.9));
    await get(SignedDomains).noteSigned(['example.com']);
    await t.sendDue();
    await get(SignedDomains).forget('example.com');
    expect(await t.state(id)).toMatchObject({ reason: expect.stringContaining('DKIM for ') });
    await hours(8.1, 72);
    expect(await t.state(id)).toMatchObject({ state: 'ready', dueAt: at(72) });
    await hours(72, 72);
    expect(await states(id)).toEqual(['accepted']);
  });

  it('and wait for their hours again, with a key or without, do so by their readers’ new clocks, and nothing is said of a key', async () => {
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    await openByDay([id]);
    await hours(0, 8);
    await get(SignedDomains).forget('example.com');
    expect(await t.state(id)).toMatchObject({ dueAt: at(24), reason: 'outside the send window' });
    const [broadcast]: { id: string }[] = await t.db.query(
      `insert into broadcast (title, email_template_id, sender, created_at)
       values ('News', (select id from email_template limit 1), '{}', $1) returning id`,
      [at(0)],
    );
    await t.db.query(`update message set broadcast_id = $1`, [broadcast?.id]);
    const { limitedBy } = await get(SendingService).estimate(broadcast?.id ?? '');
    expect(limitedBy).not.toBe('signing');
    const reader = await readerOf(id);
    await t.db.query(`update subscriber set time_zone = 'Pacific/Auckland' where id = $1`, [reader]);
    await t.messages.zonesChanged(t.db.manager, [reader]);
    expect(await t.state(id)).toMatchObject({ dueAt: at(11) });
    // Missing again after a night is missing all through it.
    await get(SignedDomains).noteSigned(['example.com']);
    await hours(11, 39);
    expect(await states(id)).toEqual(['held']);
  });

  it('never expired under a key that does not come back, where they have hours', async () => {
    await get(OverdueService).setSettings({ policy: 'send', afterHours: 24 });
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    await openByDay([id]);
    await hours(0, 6 * 24 + 8);
    // Tries stand on the database's clock: three claims a day, the last of which comes up at the end of its hours.
    await t.db.query(
      `update message_attempt set started_at = started_at - (select max(epoch) from message_attempt) * interval '8 hours' + epoch * interval '8 hours'`,
    );
    await get(StaleMails).expire();
    expect(await t.state(id)).toMatchObject({
      state: 'expired',
      reason: 'the key that signs it was missing or bad for 5 days',
    });
  });

  it('are as late after the pause of a frequency cap as they were before it: the key does not answer for the pause', async () => {
    await get(FrequencyCapService).set({ perDay: 1, perWeek: null });
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    await hours(0, 8);
    const sent = await t.plan('other@example.org', {
      subscriberId: await readerOf(id),
      sender: { ...SENDER, email: 'ada@example.net' },
    });
    await t.db.query(`update message set due_at = $2 where id = $1`, [id, at(11)]);
    await hours(9, 9);
    expect(await states(sent, id)).toEqual(['accepted', 'ready']);
    await hours(12, 12);
    expect(await t.state(id)).toMatchObject({ state: 'ready', dueAt: at(33) });
    await get(SignedDomains).forget('example.com');
    await hours(33, 33);
    expect(await states(id)).toEqual(['accepted']);
  });

  it('are not held again at once when they are let go while the key is still missing', async () => {
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    await hours(0, 30);
    expect(await states(id)).toEqual(['held']);
    expect(await get(HeldService).release({})).toBe(1);
    await hours(31, 50);
    expect(await states(id)).toEqual(['ready']);
    await get(SignedDomains).forget('example.com');
    await hours(51, 51);
    expect(await states(id)).toEqual(['accepted']);
  });

  it('go where their broadcast was let go on within that time, which was the owner’s word', async () => {
    await get(SignedDomains).noteSigned(['example.com']);
    const id = await t.plan('early@example.org');
    const [broadcast]: { id: string }[] = await t.db.query(
      `insert into broadcast (title, email_template_id, sender, created_at, let_go_at)
       values ('News', (select id from email_template limit 1), '{}', $1, $2) returning id`,
      [at(0), at(20)],
    );
    await t.db.query(`update message set broadcast_id = $1`, [broadcast?.id]);
    await hours(0, 40);
    expect(await states(id)).toEqual(['ready']);
    await hours(41, 45);
    expect(await states(id)).toEqual(['held']);
  });

  it('are asked about, too, when a restored backup has waited for days for its owner’s word', async () => {
    await hours(0, 0);
    await t.db.query(
      `update setting set value = value || '{"refused": {"reason": "older", "generation": 1, "counter": 9}}' where key = 'ledger.generation'`,
    );
    const early = await t.plan('early@example.org', { dueAt: at(10) });
    const fresh = await t.plan('fresh@example.org', { dueAt: at(70) });
    get(GenerationGuard).forgetFence();
    await hours(1, 72);
    expect(t.sink.mails).toHaveLength(0);
    await get(GenerationGuard).confirm('keep');
    await hours(73, 73);
    expect(await states(early, fresh)).toEqual(['held', 'accepted']);
    expect(await alerts()).toContain('sending:overdue');
  });
});
