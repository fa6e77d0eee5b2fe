import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { RatesWatch } from '../../../src/bounces/rates-watch.service.js';
import { SequencePauses } from '../../../src/delivery/waiting/sequence-pauses.service.js';
import { complaintHealth, gravest } from '../../../src/delivery/guards/sending-health.js';
import { acceptedMails, broadcastState } from './broadcast-mails.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

/** By letting go on what was paused for its complaints the owner judges those. */
describe('complaints about a broadcast that the owner let go on', () => {
  let office: BounceOffice;
  let broadcasts: BroadcastsService;

  beforeAll(async () => {
    office = await openBounceOffice();
    broadcasts = office.app.get(BroadcastsService, { strict: false });
  });
  afterAll(async () => office.close());

  const look = async (): Promise<void> => office.app.get(RatesWatch, { strict: false }).look();
  const opened = async (): Promise<string> => {
    const id = await office.broadcast();
    // All of its mails are planned: it runs until somebody ends it.
    await office.db.query('update broadcast set started_at = $2 where id = $1', [id, office.clock.now()]);
    return id;
  };
  const mails = async (id: string, count: number, after = 0): Promise<string[]> => {
    const ids = await acceptedMails(office, id, count, { after, group: 'yahoo' });
    await office.db.query('update message set settled_at = clock_timestamp() where id = any($1::bigint[])', [
      ids,
    ]);
    return ids;
  };
  const isPaused = async (id: string): Promise<boolean> => (await broadcastState(office, id)) === 'paused';

  it('never paused it when they came afterwards about mails of before: as many as there may ever be', async () => {
    const id = await opened();
    const ids = await mails(id, 1_000);
    for (const one of ids.slice(0, 3)) await office.complains(one);
    expect(await isPaused(id)).toBe(true);
    await broadcasts.resume(id);
    for (const one of ids.slice(3, 5)) await office.complains(one);
    expect(await isPaused(id)).toBe(false);
    await office.complains(ids[5] ?? '');
    expect(await isPaused(id)).toBe(true);
  });

  it('never paused it when the owner had paused it by hand, who has judged nothing by that', async () => {
    const id = await opened();
    const ids = await mails(id, 1_000);
    await office.complains(ids[0] ?? '');
    await broadcasts.pause(id);
    await broadcasts.resume(id);
    for (const one of ids.slice(1, 3)) await office.complains(one);
    expect(await isPaused(id)).toBe(true);
  });

  it('are not judged anew where they came while it stood still by hand, and its alert told of them: it was paused once more', async () => {
    const id = await opened();
    const ids = await mails(id, 1_000);
    await broadcasts.pause(id);
    for (const one of ids.slice(0, 3)) await office.complains(one);
    expect(await office.alertKeys()).toContain(`bounces:broadcast:${id}`);
    await broadcasts.resume(id);
    await look();
    expect(await isPaused(id)).toBe(false);
    await broadcasts.cancel(id);
  });

  it('never paused it for what its provider has had in all, when they were about mails of before', async () => {
    const [id, other] = [await opened(), await opened()];
    const [ids, others] = [await mails(id, 1_000), await mails(other, 10)];
    for (const one of ids.slice(0, 3)) await office.complains(one);
    await broadcasts.resume(id);
    for (const one of [ids[3] ?? '', ...others.slice(0, 5)]) await office.complains(one);
    await look();
    expect(await isPaused(id)).toBe(true);
    // Each provider once.
    await broadcasts.resume(id);
    await office.complains(ids[4] ?? '');
    await look();
    expect(await isPaused(id)).toBe(false);
  });

  it('about a sequence count also where the owner has paused it by hand meanwhile, and about mails of before where they come later: they never did', async () => {
    const pauses = office.app.get(SequencePauses, { strict: false });
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await office.sent(`of${n}@example.org`, { funnelKey: 'niches' }));
    const complain = async (from: number, to: number): Promise<unknown[]> => {
      for (const one of ids.slice(from, to)) await office.complains(one);
      await look();
      return (await pauses.all()).map(({ reason }) => reason);
    };
    expect(await complain(0, 4)).toEqual([]);
    await pauses.pause('niches', 'paused by the owner');
    office.clock.advance(60_000);
    await pauses.resume('niches');
    office.clock.advance(60_000);
    expect(await complain(4, 5)).toEqual(['5 of 20 recipients complained (25.00 %)']);
    await pauses.resume('niches');
    office.clock.advance(60_000);
    expect(await complain(5, 9)).toEqual([]);
    expect(await complain(9, 10)).toEqual(['5 of 20 recipients complained (25.00 %)']);
    await pauses.resume('niches');
  });

  /** What happens to one broadcast, one after the other. */
  const happening = fc.oneof(
    fc.record({ kind: fc.constant('sends' as const), count: fc.integer({ min: 1, max: 300 }) }),
    fc.record({
      kind: fc.constant('complains' as const),
      which: fc.double({ min: 0, max: 0.999, noNaN: true }),
    }),
    fc.record({ kind: fc.constant('by hand' as const) }),
  );

  it('pause it when those since the word are too many among all its mails, or those about the mails since among these', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 5, maxLength: 14 }), async (happenings) => {
        const id = await opened();
        const all: string[] = [];
        let complaints: { mail: number; judged: boolean }[] = [];
        let judgedMails = 0;
        for (const one of happenings) {
          if (one.kind === 'sends') all.push(...(await mails(id, one.count, all.length)));
          if (one.kind === 'by hand') {
            await broadcasts.pause(id);
            await broadcasts.resume(id);
          }
          if (one.kind !== 'complains' || all.length === 0) continue;
          const mail = Math.floor(one.which * all.length);
          if (complaints.some((other) => other.mail === mail)) continue;
          complaints.push({ mail, judged: false });
          await office.complains(all[mail] ?? '');
          const later = complaints.filter(({ mail: of }) => of >= judgedMails).length;
          const { action } = gravest([
            complaintHealth({ complaints: later, accepted: all.length - judgedMails }),
            complaintHealth({
              complaints: complaints.filter(({ judged }) => !judged).length,
              accepted: all.length,
            }),
          ]);
          expect(await isPaused(id)).toBe(action === 'pause');
          if (action !== 'pause') continue;
          await broadcasts.resume(id);
          await look();
          expect(await isPaused(id)).toBe(false);
          judgedMails = all.length;
          complaints = complaints.map(({ mail: of }) => ({ mail: of, judged: true }));
        }
        // What its provider has in all is another rule, of all broadcasts.
        await broadcasts.cancel(id);
        await office.db.query('delete from bounce where broadcast_id = $1', [id]);
      }),
      { numRuns: 25 },
    );
  });
});
