import { afterEach, beforeEach, expect, describe, it } from 'vitest';
import { SmtpLanes, type LaneSet } from '../../../../src/delivery/relays/smtp-lanes.service.js';
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
