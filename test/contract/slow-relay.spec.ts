import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SendOutcome } from '../../src/delivery/message.js';
import { SmtpLane } from '../../src/delivery/smtp-lane.transport.js';
import { plainMail } from '../support/plain-mail.js';

const REPLIES: Record<string, string> = {
  EHLO: '250 relay.example.test\r\n',
  MAIL: '250 Ok\r\n',
  RCPT: '250 Ok\r\n',
  DATA: '354 Go on\r\n',
};
const TRICKLED = '250-a reply that never ends';
const BYTE_EVERY_MS = 10_000;

/** Never silent for long, and never done: each byte begins the time of a silence anew. */
describe('a relay that sends one byte of its reply every ten seconds', () => {
  let server: Server;
  let trickling: Socket | null;
  let slow: string;
  let begun: () => void;
  beforeEach(async () => {
    trickling = null;
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 relay.example.test ESMTP\r\n');
      socket.on('data', (chunk) => {
        const verb = chunk.toString().slice(0, 4);
        if (verb !== slow) return void socket.write(REPLIES[verb] ?? '250 Ok\r\n');
        trickling = socket;
        begun();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ['EHLO', 'connect', 9],
    ['MAIL', 'envelope', 6],
    ['RCPT', 'envelope', 6],
    ['DATA', 'envelope', 6],
  ])(
    'is given up at %s after a minute or so, and the mail waits for another try',
    async (verb, stage, bytes) => {
      slow = verb;
      const reached = new Promise<void>((resolve) => (begun = resolve));
      const { port } = server.address() as AddressInfo;
      const lane = new SmtpLane('relay', new URL(`smtp://127.0.0.1:${port}`));
      let outcome: SendOutcome | null = null;
      const sending = lane.send(plainMail('1'), async () => true).then((end) => (outcome = end));
      await reached;
      for (let sent = 0; sent < bytes; sent++) {
        expect(outcome).toBeNull();
        const there = new Promise((resolve) => trickling?.write(TRICKLED.charAt(sent), resolve));
        await there;
        await vi.advanceTimersByTimeAsync(BYTE_EVERY_MS);
      }
      expect(await sending).toEqual({
        kind: 'not_sent',
        stage,
        reason: 'the relay did not end its answer in time',
      });
      lane.close();
    },
  );
});
