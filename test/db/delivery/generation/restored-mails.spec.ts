import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import type { Unsent } from '../../../../src/delivery/generation/generation.js';
import { MessagesService } from '../../../../src/delivery/planning/messages.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { SequencePauses } from '../../../../src/delivery/waiting/sequence-pauses.service.js';
import type { SequenceDefinition } from '../../../../src/sequences/steps/definition.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { SequencesService } from '../../../../src/sequences/sequences.service.js';
import { parseDuration } from '../../../../src/values/duration.js';
import { FOREVER, openDesk, SPLIT, type Desk } from '../../broadcasts/desk.js';
import { insertFunnel, OPENED_AT, SENDER, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const MINUTE_MS = 60_000;
const FUNNEL = 'niche-ebook';

describe('mails that wait in a restored backup', () => {
  let desk: Desk;
  let t: PostOffice;
  let pauses: SequencePauses;
  let held: HeldService;
  beforeAll(async () => {
    desk = await openDesk({ DEMO: 'false' });
    t = desk.t;
    pauses = get(SequencePauses);
    held = get(HeldService);
    await insertFunnel(t.db, FUNNEL);
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await desk.clear();
    await empty(t.db, 'enrollment, sequence_pause, send_bucket');
  });

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const at = (minutes: number): Date => new Date(OPENED_AT.getTime() + minutes * MINUTE_MS);
  const states = async (): Promise<string[]> => {
    const rows: { row: string }[] = await t.db.query(
      `select state || coalesce(' (' || state_reason || ')', '') as row from message order by id`,
    );
    return rows.map(({ row }) => row);
  };
  /** As after a backup was restored: the worker sees that more was sent than the ledger says. */
  const restore = async (unsent: Unsent): Promise<void> => {
    await get(GenerationGuard).maySend();
    await t.db.query(
      `update setting set value = jsonb_set(value, '{counter}', '0') where key = 'ledger.generation'`,
    );
    expect(await t.sendDue()).toBe(0);
    expect(await get(GenerationGuard).confirm(unsent)).toMatchObject({ needed: true });
    get(OverdueService).forgetCache();
  };
  /** Three mails of a broadcast that was paused when the backup was made. */
  const pausedBroadcast = async (): Promise<string> => {
    await desk.people(3);
    const id = await desk.started();
    await desk.planner.run(FOREVER);
    await desk.broadcasts.pause(id);
    expect(await t.sendDue()).toBe(0);
    return id;
  };
  const goOn = async (id: string): Promise<void> => {
    t.clock.advance(MINUTE_MS);
    await desk.broadcasts.resume(id);
    await desk.settle(id);
  };

  it('do not go out again with a broadcast that the backup says is paused', async () => {
    const id = await pausedBroadcast();
    await restore('cancel');
    await goOn(id);
    expect(desk.taken()).toEqual([]);
    expect(new Set(await states())).toEqual(new Set(['cancelled (restored backup)']));
  });

  it('of a paused broadcast are held until the owner releases them', async () => {
    const id = await pausedBroadcast();
    await restore('hold');
    await goOn(id);
    expect(desk.taken()).toEqual([]);
    expect((await held.counts()).held).toEqual([{ reason: 'restored backup', broadcastId: id, count: 3 }]);
    expect(await held.release({ reason: 'restored backup' })).toBe(3);
    await desk.settle(id);
    expect(desk.taken()).toEqual(['p1@example.com', 'p2@example.com', 'p3@example.com']);
  });

  it('of a paused broadcast go on with it when nothing has gone out since', async () => {
    const id = await pausedBroadcast();
    await restore('keep');
    await goOn(id);
    expect(desk.taken()).toHaveLength(3);
  });

  it.each(['cancel', 'hold'] as const)(
    'do not go out again at the end of a reader’s pause (%s)',
    async (unsent) => {
      await t.plan('reader@example.net');
      const until = at(30);
      await t.db.query('update subscriber set paused_until = $1', [until]);
      expect(await t.sendDue()).toBe(0);
      expect(await states()).toEqual(['held (paused by the reader)']);
      await restore(unsent);
      t.clock.set(at(60));
      await t.db.query('update subscriber set paused_until = null');
      await t.db.transaction(async (manager) => get(MessagesService).releasePaused(manager));
      expect(await t.sendDue()).toBe(0);
      expect(await states()).toEqual([`${unsent === 'hold' ? 'held' : 'cancelled'} (restored backup)`]);
    },
  );

  it.each(['cancel', 'hold'] as const)('do not go out again with their sequence (%s)', async (unsent) => {
    await t.plan('reader@example.net');
    await pauses.pauseByOwner(FUNNEL);
    expect(await t.sendDue()).toBe(0);
    await restore(unsent);
    t.clock.set(at(60));
    await pauses.resume(FUNNEL);
    expect(await t.sendDue()).toBe(0);
  });

  it('wait for the owner over an outage after their restore, too, which has made others late', async () => {
    await restore('hold');
    const dueBefore = new Date(OPENED_AT.getTime() - 1);
    expect(await t.sendDue()).toBe(0);
    t.clock.set(at(48 * 60));
    expect(await t.sendDue()).toBe(0);
    t.clock.advance(MINUTE_MS);
    await t.plan('step@example.com', { dueAt: dueBefore });
    // Written by the owner's word after the outage, as the rest of a split test is.
    await t.plan('rest@example.com', { dueAt: t.clock.now() });
    await t.db.query(`update message set planned_for = $1 where dedupe_key = 'test:rest@example.com'`, [
      dueBefore,
    ]);
    expect(await t.sendDue()).toBe(0);
    expect(await states()).toEqual(['held (restored backup)', 'held (restored backup)']);
  });

  it('wait for the owner when their split test decides once more', async () => {
    await desk.people(40);
    const id = await desk.started({ split: SPLIT });
    await desk.planner.run(FOREVER);
    await t.sendDue();
    await desk.planner.run(FOREVER);
    await restore('hold');
    t.sink.mails.length = 0;
    t.clock.advance(SPLIT.waitMinutes * MINUTE_MS);
    await desk.settle(id);
    expect(desk.taken()).toEqual([]);
    const { counts } = await desk.broadcasts.get(id);
    expect(await held.release({ reason: 'restored backup' })).toBe(counts['held']);
    await desk.settle(id);
    expect(desk.taken()).toHaveLength(counts['held'] ?? 0);
  });

  describe('as steps that are not planned yet', () => {
    const enrolled = async (): Promise<void> => {
      const templateId = await t.templates.publish(t.db.manager, 'emails/story');
      const definition: SequenceDefinition = {
        window: null,
        exitOn: [],
        first: 'lesson',
        nodes: [
          {
            ...{ kind: 'email', key: 'lesson', templateKey: 'emails/story', templateId },
            ...{ delay: parseDuration('65 minutes'), at: null, offer: null, deadline: null, next: null },
          },
        ],
      };
      const sequence = { key: 'guide', funnelKey: FUNNEL, title: 'Guide', sender: SENDER, definition };
      const subscriberId = await t.subscriber('reader@example.net');
      await t.db.transaction(async (manager) => {
        await get(SequencesService).publish(manager, sequence);
        await get(EnrollmentsService).enroll(manager, { sequenceKey: 'guide', subscriberId, data: {} });
      });
    };
    const plan = async (): Promise<void> => {
      expect(await get(EnrollmentsService).advanceDue(100)).toBe(1);
    };

    it.each([
      ['minutes', 75, 80],
      ['an hour and more', 75, 130],
    ])('are held although they are planned only %s after they were due', async (_, confirmed, planned) => {
      await enrolled();
      t.clock.set(at(confirmed));
      await restore('hold');
      t.clock.set(at(planned));
      await plan();
      expect(await t.sendDue()).toBe(0);
      expect(await states()).toEqual(['held (restored backup)']);
    });

    it('are not held by a pause whose end would send them again', async () => {
      await enrolled();
      await pauses.pauseByOwner(FUNNEL);
      t.clock.set(at(75));
      await restore('cancel');
      t.clock.set(at(80));
      await plan();
      expect(await t.sendDue()).toBe(0);
      await pauses.resume(FUNNEL);
      expect(await t.sendDue()).toBe(0);
      expect(await states()).toEqual(['expired (restored backup)']);
    });

    it('do not go out again with a sequence that kept people at them when the backup was made', async () => {
      // What an earlier backup was confirmed with does not count here.
      await restore('keep');
      await enrolled();
      await pauses.pauseByOwner(FUNNEL);
      t.clock.set(at(70));
      await plan();
      t.clock.set(at(75));
      await restore('cancel');
      await pauses.resume(FUNNEL);
      t.clock.set(at(80));
      await plan();
      expect(await t.sendDue()).toBe(0);
      expect(await states()).toEqual(['expired (restored backup)']);
    });

    it('go out when they fall due after the owner’s word', async () => {
      await enrolled();
      t.clock.set(at(50));
      await restore('cancel');
      t.clock.set(at(66));
      await plan();
      expect(await t.sendDue()).toBe(1);
    });
  });
});
