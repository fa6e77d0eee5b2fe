import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import type { Condition } from '../../../src/segments/condition.js';
import { SegmentsService } from '../../../src/segments/segments.service.js';
import { ListsService } from '../../../src/subscribers/lists.service.js';
import { FOREVER, openDesk, type Desk } from './desk.js';
import { empty } from '../../support/database.js';

describe('a broadcast for a list, whose mails are planned', () => {
  let desk: Desk;
  let lists: ListsService;
  beforeAll(async () => {
    desk = await openDesk();
    lists = desk.t.app.get(ListsService, { strict: false });
  });
  afterAll(async () => desk?.t.close());
  afterEach(async () => {
    await desk.clear();
    await empty(desk.t.db, 'list');
  });

  /** Of two lists; p1 and p2 are on both, p3 is on the second. */
  const joined = async (): Promise<{ news: string; offers: string; ids: string[] }> => {
    await desk.people(3);
    const rows: { id: string }[] = await desk.t.db.query('select id from subscriber order by id');
    const ids = rows.map(({ id }) => id);
    const list = async (key: string): Promise<string> =>
      (await lists.create({ key, title: key, description: '', isPublic: true })).id;
    const [news, offers] = [await list('news'), await list('offers')];
    for (const id of ids.slice(0, 2)) await lists.add(news, id);
    for (const id of ids) await lists.add(offers, id);
    return { news, offers, ids };
  };
  const planned = async (condition: Condition): Promise<string> => {
    const segments = desk.t.app.get(SegmentsService, { strict: false });
    await segments.create({ key: 'readers', title: 'Readers', conditions: condition });
    const id = await desk.started({ audience: { segments: { any: ['readers'] } } });
    await desk.planner.run(FOREVER);
    return id;
  };
  const reasons = async (): Promise<unknown[]> =>
    desk.t.db.query(`select address, state_reason as reason from message where state = 'suppressed'`);

  it('sends nothing to who has left it since', async () => {
    const { news, ids } = await joined();
    const id = await planned({ all: [{ list: 'news' }] });
    await lists.remove(news, ids[0] ?? '');
    await desk.settle(id);
    expect(desk.taken()).toEqual(['p2@example.com']);
    expect(await reasons()).toEqual([{ address: 'p1@example.com', reason: 'left the list' }]);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', counts: { suppressed: 1 } });
  });

  it('sends nothing to who leaves it between claim and the body of the mail', async () => {
    const { news, ids } = await joined();
    const id = await planned({ list: 'news' });
    desk.t.sink.onRecipient = async (address) => {
      if (address === 'p1@example.com') await lists.remove(news, ids[0] ?? '');
      return undefined;
    };
    try {
      await desk.settle(id);
    } finally {
      desk.t.sink.onRecipient = async () => undefined;
    }
    expect(desk.taken()).toEqual(['p2@example.com']);
    expect(await reasons()).toEqual([{ address: 'p1@example.com', reason: 'left the list' }]);
  });

  it('goes to who is on another of the lists that it is for, or gets it for something else', async () => {
    const { news, ids } = await joined();
    const id = await planned({ any: [{ list: 'news' }, { list: 'offers' }] });
    await lists.remove(news, ids[0] ?? '');
    await desk.settle(id);
    expect(desk.taken()).toHaveLength(3);
  });

  it('is not sent once more to who has left it since the first mail', async () => {
    const { news, ids } = await joined();
    const id = await planned({ list: 'news' });
    await desk.settle(id);
    await desk.t.db.query('update subscriber set tracking_consent = true');
    desk.t.sink.mails.length = 0;
    desk.t.clock.advance(3_600_000);
    await lists.remove(news, ids[0] ?? '');
    const resends = desk.t.app.get(BroadcastResends, { strict: false });
    const words = { subject: 'Once more', template: null, title: null };
    const again = await resends.draft(id, { ...words, unless: 'opened' });
    await desk.broadcasts.start(again.id, null);
    await desk.settle(again.id);
    expect(desk.taken()).toEqual(['p2@example.com']);
  });
});
