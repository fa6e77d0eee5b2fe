import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SendOutcome } from '../../src/delivery/message/message.js';
import { SmtpLane } from '../../src/delivery/relays/smtp-lane.transport.js';
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

/** Each piece that it takes begins the time of a silence anew; the ten minutes for body and reply are none of a silence. */
describe('a relay that takes a body piece by piece and does not come to its end', () => {
  let server: Server;
  afterEach(async () => {
    vi.useRealTimers();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is slow after half a minute and given up after ten', async () => {
    let begun: (socket: Socket) => void;
    const reading = new Promise<Socket>((resolve) => (begun = resolve));
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 relay.example.test ESMTP\r\n');
      socket.on('data', (chunk) => {
        const verb = chunk.toString('latin1').slice(0, 4);
        if (REPLIES[verb] !== undefined) return void socket.write(REPLIES[verb]);
        socket.pause();
        begun(socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { port } = server.address() as AddressInfo;
    const lane = new SmtpLane('relay', new URL(`smtp://127.0.0.1:${port}`));
    // More than the buffers between the two hold.
    const raw = Buffer.concat([plainMail('1').raw, Buffer.alloc(48 * 1024 * 1024, 'a line of it\r\n')]);
    let [slow, outcome]: [boolean, SendOutcome | null] = [false, null];
    const sending = lane
      .send(
        { ...plainMail('1'), raw },
        async () => true,
        undefined,
        () => (slow = true),
      )
      .then((end) => (outcome = end));
    const socket = await reading;
    for (let minutes = 0; minutes < 10; minutes++) {
      expect(outcome).toBeNull();
      const piece = new Promise((resolve) => socket.once('data', resolve));
      socket.resume();
      await piece;
      await vi.advanceTimersByTimeAsync(60_000);
      expect(slow).toBe(true);
    }
    expect(await sending).toEqual({ kind: 'unknown', reason: 'the relay did not answer in time' });
    socket.destroy();
    lane.close();
  });
});
