import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { PromptSmtpServer } from '../../../../src/infra/mailbox/prompt-smtp-server.js';
import { afterEach, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from '../post-office.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function openRelay(): Promise<number> {
  const [cert, key] = await Promise.all(
    ['certificate', 'key'].map(async (name) => readFile(`test/fixtures/test-${name}.pem`)),
  );
  const relay = new PromptSmtpServer({
    ...{ cert, key, authOptional: true, disableReverseLookup: true, closeTimeout: 200 },
    onData: (stream, _session, done) => void stream.on('data', () => undefined).on('end', () => done()),
  });
  relay.on('error', () => undefined);
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  closing.push(async () => new Promise<void>((resolve) => relay.close(resolve)));
  return (relay.server.address() as AddressInfo).port;
}

async function notedBy(office: PostOffice): Promise<unknown> {
  closing.unshift(async () => office.close());
  const id = await office.plan('reader@example.org');
  expect(await office.sendDue()).toBe(1);
  return office.db.query('select stage, outcome, tls from message_attempt where message_id = $1', [id]);
}

it('each try is noted with the encryption that it went by, and its cipher', async () => {
  const port = await openRelay();
  const office = await openPostOffice({ SMTP_URL: `smtp://127.0.0.1:${port}?tls=insecure` });
  expect(await notedBy(office)).toEqual([
    { stage: 'done', outcome: 'accepted', tls: expect.stringMatching(/^TLSv1\.[23] [A-Z0-9_-]{10,}$/) },
  ]);
});

it('a try that went by none is noted so', async () => {
  expect(await notedBy(await openPostOffice())).toMatchObject([{ outcome: 'accepted', tls: null }]);
});
