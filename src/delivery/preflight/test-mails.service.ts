import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { DomainError } from '../../values/domain-error.js';
import type { EmailAddressParse } from '../../values/email-address.js';
import type { RenderedMail } from '../mails/mail-renderer.service.js';
import type { MailTemplate } from '../mails/mjml.templates.js';
import { TemplatesService } from '../mails/templates.service.js';
import type { Sender } from '../message/message.js';
import { MessagesService } from '../planning/messages.service.js';
import { NO_SENDER } from './drafts.service.js';

const KEY = 'emails/test';
/** The whole mail, made already, is put in its place. */
const AS_MADE: MailTemplate & { source: string } = {
  subject: '[Test] {{ test.subject }}',
  html: '{{ test.html | raw }}',
  text: '{{ test.text }}',
  source: '',
};

export interface TestMail {
  messageId: string;
  to: string;
  subject: string;
}

/**
 * Sends a preview to the owner, through ledger, signature and relay like others, so that it can be seen in a mail program.
 * It is a transactional mail to nobody: nothing in it is counted, its links of a reader work for nobody, and a suppressed
 * address gets none. What it says of the reader whose it is stays no longer than the data of other mails that were asked for
 * one by one, and goes with the reader.
 */
@Injectable()
export class TestMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `TEST_SENDER_INVALID` where no funnel says who writes. */
  async send(
    { subject, html, text }: Pick<RenderedMail, 'subject' | 'html' | 'text'>,
    {
      to,
      sender,
      funnelKey = '',
      readerId = null,
    }: {
      to: Extract<EmailAddressParse, { ok: true }>;
      sender: Sender;
      funnelKey?: string | undefined;
      readerId?: string | null | undefined;
    },
  ): Promise<TestMail> {
    if (sender.email === NO_SENDER.email)
      throw new DomainError(
        'TEST_SENDER_INVALID',
        'There is nobody to write as yet: apply a funnel with its sender, or send a broadcast as a test',
      );
    const planned = await this.dataSource.transaction(async (manager) =>
      this.messages.plan(manager, [
        {
          dedupeKey: `test:${randomUUID()}`,
          class: 'transactional',
          kind: 'api',
          subscriberId: null,
          funnelKey,
          templateId: await this.templates.store(manager, KEY, AS_MADE),
          data: { test: { subject, html, text, of: readerId } },
          sender,
          address: to.address,
          addressHash: addressHash(this.config.secretKey, to.key),
          dueAt: this.clock.now(),
        },
      ]),
    );
    const messageId = planned[0]?.id;
    if (messageId === undefined) throw new Error('the test mail gave no row');
    return { messageId, to: to.address, subject: `[Test] ${subject}` };
  }
}
