import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import type { PlannedMessage } from '../../../../src/delivery/message/message.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const MINUTE_MS = 60_000;
const FULL = { code: 452, text: '4.3.1 Insufficient system storage' };
const NOT_NOW = { code: 451, text: '4.7.1 Service unavailable - try again later' };

describe('a relay that begins to put off mails at their end', () => {
  let t: PostOffice;
  beforeEach(async () => {
    t = await openPostOffice();
  });
  afterEach(async () => t.close());

  const relaysOf = (one: PostOffice): RelaysService => one.app.get(RelaysService, { strict: false });
  const relayState = async (): Promise<string | undefined> => (await relaysOf(t).view())[0]?.state;
  const planned = async (
    addresses: readonly string[],
    change?: Partial<PlannedMessage>,
  ): Promise<string[]> => {
    const ids: string[] = [];
    for (const address of addresses) ids.push(await t.plan(address, change));
    return ids;
  };
  const lists = (count: number, name = 'reader'): string[] =>
    Array.from({ length: count }, (_, n) => `${name}@list${n}.example`);
  const count = async (what: string, from = 'message'): Promise<number> => {
    const [row]: { n: number }[] = await t.db.query(`select ${what}::int as n from ${from}`);
    return row?.n ?? 0;
  };
  const attempts = async (): Promise<number> => count('sum(attempt)');
  const tries = async (): Promise<number> => count('count(*)', 'message_attempt');
  const pauseEnds = async (by = t): Promise<number> => {
    await t.db.query(
      `update relay_state set opened_until = clock_timestamp() - interval '1 second' where state <> 'closed'`,
    );
    await empty(t.db, 'send_bucket');
    await relaysOf(by).view();
    return by.sendDue();
  };

  it.each([
    ['of many receivers', lists(60)],
    ['of one receiver', Array.from({ length: 60 }, (_, n) => `reader${n}@example.org`)],
  ])(
    'because its disk is full, mails %s: a few find out, and the others lose no attempt',
    async (_, addresses) => {
      const ids = await planned(addresses);
      t.sink.onBody = async () => FULL;
      await t.sendDue();
      expect([await relayState(), await attempts()]).toEqual(['open', 4]);
      // What was on its way with the first of them; then one a pause.
      expect(await tries()).toBeLessThanOrEqual(36);
      const [alert]: { message: string }[] = await t.db.query(
        `select message from alert where key like 'relay:%'`,
      );
      expect(alert?.message).toContain('puts off one mail after the other');
      const before = await tries();
      expect([await pauseEnds(), (await tries()) - before, await attempts()]).toEqual([0, 1, 4]);

      t.sink.onBody = async () => undefined;
      t.clock.advance(6 * MINUTE_MS);
      let sent = 0;
      while (sent < ids.length) sent += await pauseEnds();
      expect(await relayState()).toBe('closed');
      for (const id of ids) expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    },
  );

  it('in words that may be a receiver’s: those of several are asked for', async () => {
    await planned(lists(60));
    t.sink.onBody = async () => NOT_NOW;
    await t.sendDue();
    expect([await relayState(), await attempts()]).toEqual(['open', 9]);
  });

  it('but only those of one receiver, which greylists in words of its own: it takes the others', async () => {
    await planned(Array.from({ length: 60 }, (_, n) => `reader${n}@example.org`));
    t.sink.onBody = async () => NOT_NOW;
    await t.sendDue();
    expect([await relayState(), (await attempts()) === (await tries())]).toEqual(['closed', true]);
    t.sink.onBody = async () => undefined;
    t.clock.advance(6 * MINUTE_MS);
    await empty(t.db, 'send_bucket');
    expect(await t.sendDue()).toBe(60);
  });

  it('but only one mail, again and again: that comes to its end', async () => {
    const [id = ''] = await planned(['grace@example.org']);
    t.sink.onBody = async () => FULL;
    for (let round = 1; round <= 8; round++) {
      await pauseEnds();
      expect([round, await relayState()]).toEqual([round, 'closed']);
      t.clock.advance(13 * 60 * MINUTE_MS);
    }
    expect(await t.state(id)).toMatchObject({ state: 'expired' });
  });

  it('but only now and then: each that it takes begins the count anew', async () => {
    t.sink.onBody = async (_, [to]) => (to?.startsWith('slow') ? FULL : undefined);
    for (let n = 0; n < 20; n++) {
      for (const who of ['slow', 'fine']) {
        await planned([`${who}@list${n}.example`]);
        await pauseEnds();
      }
    }
    expect([await relayState(), await attempts()]).toEqual(['closed', 40]);
  });

  it('of a broadcast, for its words: another mail finds out, and from then on the broadcast shuts it no more', async () => {
    const templateId = await t.templates.publish(t.db.manager, 'emails/story', 'wonders');
    await planned(lists(60), { kind: 'broadcast', templateId });
    t.sink.onBody = async (_, [to]) => (to === 'ada@example.org' ? undefined : FULL);
    await t.sendDue();
    expect(await relayState()).toBe('open');
    const before = await attempts();
    const receipt = await t.plan('ada@example.org', { class: 'transactional', kind: 'receipt' });
    expect(await pauseEnds()).toBe(1);
    expect(await t.state(receipt)).toMatchObject({ state: 'accepted' });
    await pauseEnds();
    expect([await relayState(), (await attempts()) - before > 10]).toEqual(['closed', true]);
    // Until it takes one of them.
    t.sink.onBody = async () => undefined;
    t.clock.advance(6 * MINUTE_MS);
    expect(await pauseEnds()).toBe(60);
    expect(await count(`jsonb_array_length(put_offs->'blamed')`, 'relay_state')).toBe(0);
  });

  describe('of a broadcast, for its words, and whose disk is full later', () => {
    const bodies: string[] = [];
    const isWonders = (to: string | undefined): boolean => to?.startsWith('reader') ?? false;
    beforeEach(async () => {
      const templateId = await t.templates.publish(t.db.manager, 'emails/story', 'wonders');
      await planned(lists(60), { kind: 'broadcast', templateId });
      t.sink.onBody = async (_, [to]) => (to === 'ada@example.org' ? undefined : FULL);
      await t.sendDue();
      await planned(['ada@example.org'], { class: 'transactional', kind: 'receipt' });
      await pauseEnds();
      const blamed = await count(`jsonb_array_length(put_offs->'blamed')`, 'relay_state');
      if (blamed !== 1) throw new Error('the words of the broadcast are not known to be put off');
      bodies.length = 0;
    });
    const answers = (reply: (to: string | undefined) => typeof FULL | undefined): void => {
      t.sink.onBody = async (_, [to = '']) => {
        bodies.push(to);
        return reply(to);
      };
    };
    const later = async (): Promise<void> => {
      t.clock.advance(3 * 60 * MINUTE_MS);
      await t.db.query(`update message set due_at = $1 where state = 'ready'`, [t.clock.now()]);
      t.clock.advance(1);
    };

    it.each<[string, Partial<PlannedMessage>]>([
      ['receipts', { class: 'transactional', kind: 'receipt' }],
      ['mails of a sequence', {}],
    ])('opens on %s, instead of on each mail of the broadcast before them', async (_, change) => {
      answers(() => FULL);
      await planned(lists(12, 'other'), change);
      await pauseEnds();
      expect(await relayState()).toBe('open');
      await later();
      bodies.length = 0;
      answers((to) => (isWonders(to) ? FULL : undefined));
      expect(await pauseEnds()).toBeGreaterThan(0);
      expect([await relayState(), isWonders(bodies[0])]).toEqual(['closed', false]);
    });

    it('is found full by its mails, too, once another worker has seen one of them taken', async () => {
      const second = await openPostOffice({}, undefined, async () => t.config.databaseUrl);
      try {
        await later();
        await t.db.query(
          `update message set due_at = due_at + interval '1 hour' where state = 'ready'
             and id <> (select min(id) from message where state = 'ready')`,
        );
        second.clock.advance(t.clock.now().getTime() - second.clock.now().getTime());
        expect(await pauseEnds(second)).toBe(1);
        answers(() => FULL);
        await later();
        for (let round = 0; round < 2; round++) await pauseEnds();
        expect(await relayState()).toBe('open');
        expect(await count(`jsonb_array_length(put_offs->'blamed')`, 'relay_state')).toBe(0);
      } finally {
        await second.close();
      }
    });

    it('is left alone, ever longer, while nothing but the broadcast is due, whose mails lose no attempt', async () => {
      const name = (await relaysOf(t).view())[0]?.name ?? '';
      for (let round = 0; round < 3; round++) await relaysOf(t).failed({ name }, 'connect', 'no answer');
      await later();
      answers(() => FULL);
      const before = await attempts();
      for (const pause of [15, 30, 60]) {
        expect([await pauseEnds(), bodies.splice(0).length]).toEqual([0, 1]);
        expect([await relayState(), await count('pause_seconds', 'relay_state')]).toEqual(['open', pause]);
      }
      expect(await attempts()).toBe(before);
    });
  });

  it('is known for that to every worker, and to one that has just started', async () => {
    const templateId = await t.templates.publish(t.db.manager, 'emails/story', 'wonders');
    await planned(lists(40), { kind: 'broadcast', templateId });
    t.sink.onBody = async () => FULL;
    await t.sendDue();
    const second = await openPostOffice({}, undefined, async () => t.config.databaseUrl);
    try {
      second.sink.onBody = async () => FULL;
      const [before, lost] = [await tries(), await attempts()];
      expect([await pauseEnds(second), (await tries()) - before, await attempts()]).toEqual([0, 1, lost]);
      expect(await relayState()).toBe('open');
      expect(await count('pause_seconds', 'relay_state')).toBe(30);
      const other = await t.plan('ada@example.org');
      second.sink.onBody = async (_, [to]) => (to === 'ada@example.org' ? undefined : FULL);
      expect(await pauseEnds(second)).toBe(1);
      expect(await t.state(other)).toMatchObject({ state: 'accepted' });
    } finally {
      await second.close();
    }
  });

  it('to two workers at once: what each has seen is counted together', async () => {
    const second = await openPostOffice({}, undefined, async () => t.config.databaseUrl);
    try {
      for (const one of [t, second]) one.sink.onBody = async () => FULL;
      for (const [n, one] of [t, second, t, second].entries()) {
        await planned([`a@list${n}.example`, ...(n < 2 ? [`b@list${n}.example`] : [])]);
        await empty(t.db, 'send_bucket');
        await one.sendDue();
      }
      expect([await relayState(), await tries()]).toEqual(['open', 5]);
    } finally {
      await second.close();
    }
  });

  it('to one worker now and then, and takes those of another: what was put off an hour ago does not count', async () => {
    const second = await openPostOffice({}, undefined, async () => t.config.databaseUrl);
    try {
      await planned(lists(4));
      t.sink.onBody = async () => FULL;
      await t.sendDue();
      for (const { clock } of [t, second]) clock.advance(60 * MINUTE_MS);
      expect(await pauseEnds(second)).toBe(4);
      await planned(['ada@example.org']);
      await pauseEnds();
      expect([await relayState(), await attempts()]).toEqual(['closed', 9]);
    } finally {
      await second.close();
    }
  });

  it('costs nothing while it takes nearly all: one mail that is put off is not written down', async () => {
    await planned(lists(30));
    t.sink.onBody = async (_, [to]) => (to === 'reader@list3.example' ? FULL : undefined);
    expect(await t.sendDue()).toBe(29);
    expect(await t.db.query('select failures, put_offs from relay_state')).toEqual([
      { failures: 0, put_offs: null },
    ]);
  });
});
