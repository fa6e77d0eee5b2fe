import { domainOf, wireAddress } from '../../values/email-address.js';
import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { DkimService } from '../signing/dkim.service.js';
import { mailHeaders } from '../mails/headers.js';
import { boundaryFor, headerBlock, needsSmtpUtf8, wholeMail } from '../mails/mail-bytes.transport.js';
import { MailRenderer } from '../mails/mail-renderer.service.js';
import type { ClaimedMessage } from '../message/message.js';
import type { OutgoingMail } from '../relays/smtp-lane.transport.js';
import { UnmadeMails } from '../mails/unmade-mails.service.js';
import { verpAddress, verpToken } from '../mails/verp.js';

/** A mail that has waited for longer is of the moment in which it leaves. */
const KEEPS_ITS_DATE_MS = 3_600_000;

/** From a claimed message to the bytes that cross the wire, the same ones on every attempt within its first hour. */
@Injectable()
export class MailComposer {
  constructor(
    private readonly renderer: MailRenderer,
    private readonly dkim: DkimService,
    private readonly unmade: UnmadeMails,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Throws `MAIL_UNSENDABLE` for a mail that must not leave as it is, however often it is tried, `UnfitMail` for one that
   * its owner can mend, and `SigningRefused` while a key is configured that cannot sign it.
   */
  async compose(message: ClaimedMessage): Promise<OutgoingMail> {
    const boundary = boundaryFor(message.messageIdHeader);
    const date = this.dateOf(message);
    const { body, ...mail } = await this.encoded(message, { boundary, date });
    const from = wireAddress(message.sender.email);
    const headers = headerBlock(
      {
        from: { name: message.sender.name, address: message.sender.email },
        to: { name: message.subscriberName ?? '', address: message.address },
        subject: mail.subject,
        date,
        messageId: message.messageIdHeader,
        more: mailHeaders(message, mail.unsubscribeUrl, this.config),
      },
      boundary,
    );
    const domain = domainOf(from);
    const signature = (await this.dkim.sign(domain, headers, body.octets)) ?? '';
    const { secretKey } = this.config;
    return {
      id: message.id,
      from: this.returnPath(message.id, from),
      to: wireAddress(message.address),
      needsSmtpUtf8: needsSmtpUtf8(message.address),
      // A signature that only providers with tags need.
      get tag() {
        return verpToken(secretKey, message.id);
      },
      dotless: body.octets.length,
      raw: wholeMail(`${signature}${headers}\r\n`, body),
    };
  }

  private async encoded(
    message: ClaimedMessage,
    as: Parameters<MailRenderer['encode']>[1],
  ): ReturnType<MailRenderer['encode']> {
    try {
      return await this.renderer.encode(message, as);
    } catch (error) {
      await this.unmade.failed(message, error);
      throw error;
    }
  }

  /**
   * When it was planned, so that a second try shortly after is the same mail; but a warm-up, a pause or an outage may
   * have kept it for days, and a mail of last week is put last week into a mailbox, or taken for spam.
   */
  private dateOf({ createdAt }: Pick<ClaimedMessage, 'createdAt'>): Date {
    const now = this.clock.now();
    return now.getTime() - createdAt.getTime() > KEEPS_ITS_DATE_MS ? now : createdAt;
  }

  /** With a domain for bounces, each mail has a return path of its own that says which mail a report is about. */
  private returnPath(messageId: string, from: string): string {
    const { bounceDomain, secretKey } = this.config;
    return bounceDomain === null ? from : verpAddress(secretKey, messageId, bounceDomain);
  }
}
