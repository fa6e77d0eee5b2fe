import { Module } from '@nestjs/common';
import { MailboxServer } from './mailbox.server.js';
import { MailboxService } from './mailbox.service.js';

/** The built-in mailbox, in the place of a relay while `SMTP_URL` is not set. */
@Module({ providers: [MailboxService, MailboxServer], exports: [MailboxService, MailboxServer] })
export class MailboxModule {}
