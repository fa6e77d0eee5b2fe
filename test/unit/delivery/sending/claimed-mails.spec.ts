import { expect, it } from 'vitest';
import { ClaimedMails } from '../../../../src/delivery/sending/claimed-mails.js';
import type { Claimed, ClaimedMessage } from '../../../../src/delivery/message/message.js';

const me = {};
const claimed = (count: number): Claimed => ({
  taken: count,
  messages: Array.from({ length: count }, (_, i) => ({ id: String(i) }) as ClaimedMessage),
  waitMs: null,
});

it('a claim that fails while mails are waiting, as when PostgreSQL crashes, ends no process and loses none of them', async () => {
  const away = new Error('Connection terminated unexpectedly');
  let claims = 0;
  const queue = new ClaimedMails(
    async () => {
      if (++claims === 1) return claimed(10);
      throw away;
    },
    async () => undefined,
  );
  // Begins the second claim, which nobody waits for. An unheard rejection would fail this test.
  expect(await queue.next(me)).toMatchObject({ id: '0' });
  await new Promise(setImmediate);
  await expect(queue.next(me)).rejects.toBe(away);
  expect(await queue.rest()).toHaveLength(9);
});

it('mails that are all put back, claim after claim, do not keep a run from ending when it is told to', async () => {
  let claims = 0;
  const queue = new ClaimedMails(
    async () => {
      claims++;
      return { taken: 1, messages: [], waitMs: null };
    },
    async () => undefined,
    () => claims < 5,
  );
  expect(await queue.next(me)).toBeNull();
  expect(claims).toBe(5);
});

it('mails of one relay are with as many as it has lanes, and with one more, until one of them has ended', async () => {
  const mail = (id: string, relay?: string): ClaimedMessage =>
    ({ id, relay, queueKey: relay }) as ClaimedMessage;
  const batches = [[...Array.from({ length: 6 }, (_, n) => mail(`fast${n}`, 'fast')), mail('any')]];
  let come = (): void => undefined;
  const queue = new ClaimedMails(
    async () => {
      const messages = batches.shift();
      if (messages) return { taken: messages.length, messages, waitMs: null };
      await new Promise<void>((resolve) => (come = resolve));
      return { taken: 0, messages: [], waitMs: null };
    },
    async () => undefined,
    () => true,
    undefined,
    () => 1,
  );
  const [one, two, three, four] = [{}, {}, {}, {}];
  const first = await queue.next(one);
  expect([first?.id, (await queue.next(two))?.id, (await queue.next(three))?.id]).toEqual([
    'fast0',
    'fast1',
    'any',
  ]);
  // Who holds one of them takes the next ahead.
  expect(queue.first(one)?.id).toBe('fast2');
  expect(queue.first(three)).toBeUndefined();
  const waits = [queue.next(three), queue.next(four)];
  if (first) queue.ended(one, first);
  expect((await Promise.race(waits))?.id).toBe('fast2');
  // Nothing else is to be had.
  come();
  expect(new Set((await Promise.all(waits)).map((mail) => mail?.id))).toEqual(new Set(['fast2', 'fast3']));
});

it('no more than about a thousand wait for a slow relay, of however many queues: their leases might run out before it took them', async () => {
  let claims = 0;
  const queue: ClaimedMails = new ClaimedMails(
    async () => {
      const queueKey = `queue${claims}`;
      if (claims === 40 || queue.crowded()(queueKey, 'slow', 'bulk'))
        return { taken: 0, messages: [], waitMs: null };
      claims++;
      const messages = Array.from({ length: 100 }, () => ({ relay: 'slow', queueKey }) as ClaimedMessage);
      return { taken: messages.length, messages, waitMs: null };
    },
    async () => undefined,
    () => true,
    undefined,
    () => 1,
  );
  for (let taker = 0; taker < 3; taker++) await queue.next({});
  expect(claims).toBe(11);
});
