import { expect, it } from 'vitest';
import { ClaimedMails } from '../../../../src/delivery/sending/claimed-mails.js';
import type { Claimed, ClaimedMessage } from '../../../../src/delivery/message/message.js';

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
  expect(await queue.next()).toMatchObject({ id: '0' });
  await new Promise(setImmediate);
  await expect(queue.next()).rejects.toBe(away);
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
  expect(await queue.next()).toBeNull();
  expect(claims).toBe(5);
});
