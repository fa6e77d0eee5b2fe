import { afterEach, beforeEach, expect, describe, it } from 'vitest';
import { ParkedLanes } from '../../../../src/delivery/relays/parked-lanes.service.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import {
  SmtpLanes,
  type LaneSet,
  type TakenLane,
} from '../../../../src/delivery/relays/smtp-lanes.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

/** Nobody is waited for in these tests. */
const AT_ONCE_MS = 1;

describe('a relay that lets none of its lanes go', () => {
  let t: PostOffice;
  let lanes: LaneSet;
  beforeEach(async () => {
    t = await openPostOffice({
      SMTP_URL: 'smtp://127.0.0.1:9?name=main&lanes=1 smtp://127.0.0.1:9?name=other&lanes=1&weight=0',
    });
    lanes = t.app.get(SmtpLanes, { strict: false }).open(AT_ONCE_MS);
  });
  afterEach(async () => {
    lanes.close();
    await t.close();
  });

  it('keeps no mail waiting that may go by another relay', async () => {
    const kept = await lanes.take();
    const next = await lanes.take();
    expect([kept?.relay.name, next?.relay.name]).toEqual(['main', 'other']);
  });

  it('gets its share again as soon as the first one comes back', async () => {
    const [kept, next] = [await lanes.take(), await lanes.take()];
    if (!kept || !next) throw new Error('there was no lane');
    lanes.put(next);
    lanes.put(kept);
    expect((await lanes.take())?.relay.name).toBe('main');
  });

  it('is waited for when the others let none go either', async () => {
    const [kept, next] = [await lanes.take(), await lanes.take()];
    const waits = lanes.take();
    if (!kept || !next) throw new Error('there was no lane');
    lanes.put(kept);
    expect((await waits)?.relay.name).toBe('main');
  });
});

describe('a mail that is to go by the faster of two relays, all of whose lanes are at work', () => {
  const CLAIM = { id: '1', epoch: 1 };
  let t: PostOffice;
  let lanes: LaneSet;
  beforeEach(async () => {
    t = await openPostOffice({
      SMTP_URL: 'smtp://127.0.0.1:9?name=fast&lanes=2 smtp://127.0.0.1:9?name=slow&lanes=2&weight=1000',
    });
    lanes = t.app.get(SmtpLanes, { strict: false }).open();
  });
  afterEach(async () => {
    lanes.close();
    await t.close();
  });
  const taken = async (): Promise<TakenLane> => {
    const lane = await lanes.take('fast');
    if (lane?.relay.name !== 'fast') throw new Error('there was no lane to it');
    return lane;
  };

  it('still does when one of them waits for a slow answer: those behind went by the slower one, past its pace', async () => {
    const [slow] = [await taken(), await taken()];
    const waits = lanes.take('fast');
    await lanes.park(slow, CLAIM, Promise.resolve());
    expect((await waits)?.relay.name).toBe('fast');
  });

  it('is with as many as there are once that relay is out: three alone handed out all that waited for it', async () => {
    const relays = t.app.get(RelaysService, { strict: false });
    expect(lanes.lanesTo('fast')).toBe(2);
    for (let time = 0; time < 5; time++) await relays.failed({ name: 'fast' }, 'connect', 'no answer');
    expect((await lanes.take('fast'))?.relay.name).toBe('slow');
    expect(lanes.lanesTo('fast')).toBe(Number.POSITIVE_INFINITY);
  });

  it('still does when an answer comes that another has waited for', async () => {
    let answer = (): void => undefined;
    await lanes.park(await taken(), CLAIM, new Promise((resolve) => (answer = resolve)));
    const [first] = [await taken(), await taken()];
    const waits = lanes.take('fast');
    answer();
    await t.app.get(ParkedLanes, { strict: false }).allEnded(10_000);
    lanes.put(first);
    expect((await waits)?.relay.name).toBe('fast');
  });
});
