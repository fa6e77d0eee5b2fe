import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import type { SequenceDefinition } from '../../../../src/sequences/steps/definition.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { SequencesService } from '../../../../src/sequences/sequences.service.js';
import { parseDuration } from '../../../../src/values/duration.js';
import { openPostOffice, OPENED_AT, SENDER, type PostOffice } from '../post-office.js';

const HOUR_MS = 3_600_000;
const at = (hours: number): Date => new Date(OPENED_AT.getTime() + hours * HOUR_MS);

describe('sending after it could not be done', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice({ DEMO: 'false' });
  });
  afterEach(async () => t.close());

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const states = async (...ids: string[]): Promise<unknown[]> =>
    Promise.all(ids.map(async (id) => (await t.state(id))['state']));

  it('holds marketing mails of a three-day outage, sends what people wait for, and the rest on the owner’s word', async () => {
    await t.sendDue();
    const old = await t.plan('old@example.net', { dueAt: at(10) });
    const receipt = await t.plan('receipt@example.net', { dueAt: at(10), class: 'transactional' });
    const fresh = await t.plan('fresh@example.net', { dueAt: at(60) });
    t.clock.set(at(72));
    expect(await t.sendDue()).toBe(2);
    expect(await states(old, receipt, fresh)).toEqual(['held', 'accepted', 'accepted']);
    expect(await t.state(old)).toMatchObject({ reason: 'overdue after an outage', attempt: 0 });
    expect(await get(AlertsService).open()).toMatchObject([{ key: 'sending:overdue' }]);
    expect(await get(HeldService).release({})).toBe(1);
    expect(await t.sendDue()).toBe(1);
    expect(t.sink.mails.flatMap(({ to }) => to).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'fresh@example.net',
      'old@example.net',
      'receipt@example.net',
    ]);
  });

  it('says that mails wait for the owner until the last of them is decided about, however many other troubles there are', async () => {
    await t.sendDue();
    await t.plan('old@example.net', { dueAt: at(10) });
    t.clock.set(at(72));
    await t.sendDue();
    await t.db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at,
         created_at, lane_key, state, state_reason)
       select 'h:' || n, class, kind, email_template_id, sender, address, address_hash, '<' || n || '@example.com>', due_at,
         created_at, lane_key, 'held', 'trouble ' || n / 2
       from message, generate_series(2, 403) n`,
    );
    const open = async (): Promise<string[]> => (await get(AlertsService).open()).map(({ key }) => key);
    expect(await get(HeldService).cancel({ reason: 'trouble 1' })).toBe(2);
    expect(await open()).toEqual(['sending:overdue']);
    // Its process ended before it could close the alert.
    await t.db.query(`update message set state = 'cancelled' where state_reason = 'overdue after an outage'`);
    t.clock.advance(HOUR_MS);
    await t.sendDue();
    expect(await open()).toEqual(['sending:overdue']);
    t.clock.advance(3 * HOUR_MS);
    await t.sendDue();
    expect(await open()).toEqual([]);
  });

  it('never came to the end of sending thousands that were held again meanwhile: each is released once', async () => {
    await t.plan('reader@example.net');
    await t.db.query(
      `insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header, due_at,
         created_at, lane_key, state, state_reason)
       select 'h:' || n, class, kind, email_template_id, sender, address, address_hash, '<' || n || '@example.com>', due_at,
         created_at, lane_key, 'held', case n when 1 then 'another' else 'not mended' end
       from message, generate_series(1, 5002) n`,
    );
    // What workers do that are as fast as the release. A second time for one mail breaks it.
    await t.db.query(`create table held_again (id bigint primary key);
      create function hold_again() returns trigger language plpgsql as $$ begin
        insert into held_again values (old.id);
        new.state := 'held';
        new.state_reason := old.state_reason;
        return new;
      end $$;
      create trigger hold_again before update on message for each row when (old.state = 'held' and new.state = 'ready')
        execute function hold_again()`);
    expect(await get(HeldService).release({})).toBe(5002);
    expect(await t.db.query('select count(*)::int as n from held_again')).toEqual([{ n: 5002 }]);
    expect((await get(HeldService).counts()).held.map(({ count }) => count)).toEqual([5001, 1]);
  });

  it('takes three days without a working relay for the same, and burns no attempt of any mail', async () => {
    t.sink.onConnect = async () => 421;
    const id = await t.plan('old@example.net', { dueAt: at(1) });
    const tries = async (): Promise<number> =>
      ((await t.db.query('select count(*)::int as n from message_attempt')) as { n: number }[])[0]?.n ?? 0;
    for (let hours = 0; hours <= 72; hours++) {
      t.clock.set(at(hours));
      expect(await t.sendDue()).toBe(0);
      if (hours % 10 !== 0) continue;
      await t.db.query('update relay_state set opened_until = clock_timestamp()');
      await get(RelaysService).view();
    }
    expect(await t.state(id)).toMatchObject({ state: 'held', attempt: 0, reason: 'overdue after an outage' });
    expect(await tries()).toBeGreaterThan(2);
    expect((await get(AlertsService).open()).map(({ key }) => key).toSorted()).toEqual([
      'relay:127.0.0.1',
      'sending:overdue',
    ]);
  });

  it('holds the step of a sequence that fell due during the outage, and sends the one that is due now', async () => {
    const templateId = await t.templates.publish(t.db.manager, 'emails/story');
    const definition: SequenceDefinition = {
      window: null,
      exitOn: [],
      first: 'lesson',
      nodes: [
        {
          kind: 'email',
          key: 'lesson',
          templateKey: 'emails/story',
          templateId,
          delay: parseDuration('1 day'),
          at: null,
          offer: null,
          deadline: null,
          next: null,
        },
      ],
    };
    const enroll = async (address: string): Promise<void> => {
      const subscriberId = await t.subscriber(address);
      await t.db.transaction(async (manager) => {
        const sequence = { key: 'guide', funnelKey: 'guide', title: 'Guide', sender: SENDER, definition };
        await get(SequencesService).publish(manager, sequence);
        await get(EnrollmentsService).enroll(manager, { sequenceKey: 'guide', subscriberId, data: {} });
      });
    };
    await enroll('early@example.net');
    t.clock.set(at(71));
    await enroll('late@example.net');
    t.clock.set(at(0));
    await t.sendDue();
    t.clock.set(at(96));
    expect(await get(EnrollmentsService).advanceDue(100)).toBe(2);
    expect(await t.sendDue()).toBe(1);
    const found: unknown[] = await t.db.query('select address, state from message order by id');
    expect(found).toEqual([
      { address: 'early@example.net', state: 'held' },
      { address: 'late@example.net', state: 'accepted' },
    ]);
  });

  it('goes at the pace that was set, and tells when it will be done', async () => {
    await get(SendingSettingsService).replace(sendingSettings.parse({ global: { perDay: 3 } }));
    const ids = [];
    for (let count = 0; count < 5; count++) ids.push(await t.plan(`reader${count}@example.net`));
    expect(await t.sendDue()).toBe(3);
    expect(await get(PacingService).waitMs([{ queueKey: 'example.com|other', priority: 5 }])).toBeGreaterThan(
      0,
    );
    expect((await states(...ids)).filter((state) => state === 'ready')).toHaveLength(2);
    await t.db.query('update send_bucket set quota_day = quota_day - 1');
    expect(await t.sendDue()).toBe(2);
  });

  it('sends nothing from a restored backup until the owner has spoken', async () => {
    await t.sendDue();
    await t.db.query(
      `update setting set value = jsonb_set(value, '{counter}', '0') where key = 'ledger.generation'`,
    );
    const id = await t.plan('old@example.net');
    expect(await t.sendDue()).toBe(0);
    expect(t.sink.mails).toEqual([]);
    expect(await get(GenerationGuard).confirm('hold')).toMatchObject({ held: 1 });
    expect(await t.sendDue()).toBe(0);
    expect(await t.state(id)).toMatchObject({ state: 'held', reason: 'restored backup' });
    expect(await get(HeldService).release({ reason: 'restored backup' })).toBe(1);
    expect(await t.sendDue()).toBe(1);
  });
});
