import { expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { openPostOffice } from '../post-office.js';

it('readers of a receiver that greylists get their mails as fast as others: they went at one in five seconds', async () => {
  const t = await openPostOffice();
  try {
    for (let index = 0; index < 8; index++) await t.plan(`reader${index}@greylists.example`);
    const due = t.app.get(DueMessages, { strict: false });
    const pacing = t.app.get(PacingService, { strict: false });
    const { messages } = await due.claim('worker', 100);
    expect(messages).toHaveLength(8);
    for (const message of messages) await pacing.sped(message.queueKey, 5, 'fine.example.org');
    const refused = { kind: 'refused', permanent: false, stage: 'RCPT TO', code: 450 } as const;
    for (const message of messages)
      await due.answered(message, { ...refused, reply: '450 4.2.0 Recipient address rejected: Greylisted' });
    expect(await pacing.buckets()).toEqual([]);
    // Any other word for "not now" is heard.
    for (const message of messages)
      await due.answered(message, { ...refused, reply: '450 4.7.1 too many messages, try again later' });
    expect((await pacing.buckets()).map(({ key }) => key)).toEqual([
      'lane:example.com|other|greylists.example',
    ]);
  } finally {
    await t.close();
  }
});
