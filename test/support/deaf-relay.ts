import { Socket } from 'node:net';
import { vi } from 'vitest';
import type { SendOutcome } from '../../src/delivery/message/message.js';
import { SmtpLane, type OutgoingMail } from '../../src/delivery/relays/smtp-lane.transport.js';
import { CountingSink } from './counting-sink.js';

const YES = async (): Promise<boolean> => true;

export interface DeafRelay {
  sink: CountingSink;
  lane: SmtpLane;
  /** What became of the first mail, and of the second, whose envelope went out with the end of the first and was lost. */
  outcomes: [SendOutcome, SendOutcome];
  close(): Promise<void>;
}

/** A relay that says PIPELINING and drops what comes behind the final dot; its minute of silence is over at once. */
export async function deafRelay(first: OutgoingMail, second: OutgoingMail): Promise<DeafRelay> {
  const sink = new CountingSink({ dropsBehindDot: true });
  await sink.listen();
  const lane = new SmtpLane('relay', new URL(sink.url));
  const timeouts = vi.spyOn(Socket.prototype, 'setTimeout');
  const sent = await lane.send(first, YES, () => second);
  // The last one that was set is that of the session.
  const socket = timeouts.mock.contexts.at(-1) as Socket;
  timeouts.mockRestore();
  const sending = lane.send(second, YES);
  await new Promise((resolve) => void setImmediate(resolve));
  socket.emit('timeout');
  const close = async (): Promise<void> => {
    lane.close();
    await sink.close();
  };
  return { sink, lane, outcomes: [sent, await sending], close };
}
