import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { DatabaseProxy } from '../../../fault/database-proxy.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('a claim that is committed, and whose answer is lost with the connection', () => {
  let t: PostOffice;
  let proxy: DatabaseProxy;
  beforeEach(async () => {
    t = await openPostOffice({}, undefined, async (given) => {
      const url = new URL(given);
      const { hostname: host, port } = url;
      proxy = new DatabaseProxy(() => ({ host, port: Number(port) }), Math.random);
      await proxy.listen();
      url.port = String(proxy.address.port);
      return url.href;
    });
  });
  afterEach(async () => {
    await t.close();
    await proxy.close();
  });

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const loseNextClaim = (atEnd = false): void => {
    proxy.statementFault = {
      ...{ statement: 'ledger-claim', moment: 'committed', hit: 1, atEnd },
      act: () => undefined,
    };
  };
  const leased = async (): Promise<unknown> =>
    t.db.query(`select id from message where state = 'leased' order by id`);

  it.each([
    ['alone', { perDay: null, perWeek: null }],
    ['in the transaction of a cap', { perDay: 3, perWeek: null }],
  ])('keeps no mail waiting for its lease of five minutes: %s', async (_, cap) => {
    await get(FrequencyCapService).set(cap);
    const ids = [await t.plan('one@example.com'), await t.plan('two@example.com')];
    loseNextClaim(cap.perDay !== null);
    const sender = t.newSender();
    await expect(t.sendDue(sender)).rejects.toThrow();
    expect(await leased()).toHaveLength(2);
    expect(await t.sendDue(sender)).toBe(2);
    for (const id of ids) expect(await t.state(id)).toMatchObject({ state: 'accepted', attempt: 1 });
    expect(t.sink.mails).toHaveLength(2);
  });

  it('gives back nothing that is in the worker’s hands, nor in another’s', async () => {
    const due = get(DueMessages);
    const own = await t.plan('own@example.com');
    await due.claim('worker', 1);
    const others = await t.plan('others@example.com');
    await due.claim('other', 1);
    const lost = await t.plan('lost@example.com');
    loseNextClaim();
    await expect(due.claim('worker', 1)).rejects.toThrow();
    expect(await leased()).toEqual([{ id: own }, { id: others }, { id: lost }]);
    expect(await due.maySend()).toBe(true);
    expect(await leased()).toEqual([{ id: own }, { id: others }]);
    expect(await t.state(lost)).toMatchObject({ state: 'ready', attempt: 0, leaseUntil: null });
  });

  it('is given back once, and not when the reaper was faster and another has the mail', async () => {
    const due = get(DueMessages);
    const id = await t.plan('reader@example.com');
    loseNextClaim();
    await expect(due.claim('worker', 1)).rejects.toThrow();
    await t.db.query(`update message set lease_until = clock_timestamp() - interval '1 second'`);
    expect(await t.ledger.reap({ now: t.clock.now() })).toMatchObject({ returned: 1 });
    await due.claim('other', 1);
    expect(await due.maySend()).toBe(true);
    expect(await leased()).toEqual([{ id }]);
  });
});
