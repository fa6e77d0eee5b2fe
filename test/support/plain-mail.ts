import type { OutgoingMail } from '../../src/delivery/relays/smtp-lane.transport.js';

/** A short mail, ready for a lane. */
export function plainMail(id: string, to = `reader${id}@example.org`): OutgoingMail {
  const raw = Buffer.from(`Message-ID: <${id}@example.com>\r\n\r\nHello\r\n`);
  return { id, from: 'ada@example.com', to, needsSmtpUtf8: false, raw, tag: id };
}
