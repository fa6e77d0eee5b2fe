import { Injectable } from '@nestjs/common';
import { listHeaders } from './headers.js';
import {
  alternativeBody,
  boundaryFor,
  headerBlock,
  needsSmtpUtf8,
  wireAddress,
} from './mail-bytes.transport.js';
import { MailRenderer } from './mail-renderer.service.js';
import type { ClaimedMessage } from './message.js';
import type { OutgoingMail } from './smtp-lane.transport.js';

/** From a claimed message to the bytes that cross the wire, the same ones on every attempt. */
@Injectable()
export class MailComposer {
  constructor(private readonly renderer: MailRenderer) {}

  /** Throws `MAIL_UNSENDABLE` for a mail that must not leave as it is, however often it is tried. */
  async compose(message: ClaimedMessage): Promise<OutgoingMail> {
    const mail = await this.renderer.encode(message);
    const boundary = boundaryFor(message.messageIdHeader);
    const headers = headerBlock(
      {
        from: { name: message.sender.name, address: message.sender.email },
        to: { name: message.subscriberName ?? '', address: message.address },
        subject: mail.subject,
        date: message.createdAt,
        messageId: message.messageIdHeader,
        more: listHeaders(message, mail.unsubscribeUrl),
      },
      boundary,
    );
    const body = alternativeBody(mail, boundary);
    return {
      id: message.id,
      from: wireAddress(message.sender.email),
      to: wireAddress(message.address),
      needsSmtpUtf8: needsSmtpUtf8(message.address),
      raw: Buffer.from(`${headers}\r\n${body}`, 'utf8'),
    };
  }
}
