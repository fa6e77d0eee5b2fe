import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from '../post-office.js';

describe('tries in the log', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice();
  });
  afterAll(async () => {
    Logger.overrideLogger(false);
    await t.close();
  });

  it.each([
    [450, 'put off'],
    [451, 'put off'],
    [550, 'refused'],
  ])(
    'says of a %i that the mail is %s, by which relay, and no address: each was “refused”',
    async (code, words) => {
      const id = await t.plan(`reader${code}@example.com`);
      const said: string[] = [];
      const log = (line: unknown): number => said.push(String(line));
      Logger.overrideLogger({ log: () => undefined, error: log, warn: log });
      t.sink.onRecipient = async (address) => ({ code, text: `5.1.1 <${address}> is not here` });
      await t.sendDue();
      expect(said).toEqual([`message ${id}: ${words} by 127.0.0.1 (${code} at RCPT TO)`]);
    },
  );
});
