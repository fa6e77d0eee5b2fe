import { Injectable } from '@nestjs/common';
import type { SMTPServer, SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import { MailboxService } from './mailbox.service.js';
import { PromptSmtpServer } from './prompt-smtp-server.js';

const MAX_MAIL_BYTES = 25 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 2_000;

/** The SMTP side of the built-in mailbox: mails cross real SMTP on loopback instead of leaving the machine. */
@Injectable()
export class MailboxServer {
  #server: SMTPServer | null = null;

  constructor(private readonly mailbox: MailboxService) {}

  async listen(port: number): Promise<void> {
    const server = new PromptSmtpServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      size: MAX_MAIL_BYTES,
      closeTimeout: CLOSE_TIMEOUT_MS,
      onData: (stream, session, done) => {
        this.receive(stream, session).then(
          () => done(null, 'kept in the mailbox'),
          (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
        );
      },
    });
    // A client that drops its connection is its own affair.
    server.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      server.server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server) await new Promise<void>((resolve) => server.close(resolve));
  }

  private async receive(stream: SMTPServerDataStream, { envelope }: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) if (!stream.sizeExceeded) chunks.push(Buffer.from(chunk as Uint8Array));
    if (stream.sizeExceeded) throw tooLarge();
    await this.mailbox.keep({
      raw: Buffer.concat(chunks),
      from: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
      to: envelope.rcptTo.map(({ address }) => address).join(', '),
    });
  }
}

function tooLarge(): Error & { responseCode: number } {
  return Object.assign(new Error(`the mail is larger than ${MAX_MAIL_BYTES} bytes`), { responseCode: 552 });
}
