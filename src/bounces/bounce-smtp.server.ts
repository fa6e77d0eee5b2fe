import { Injectable, Logger } from '@nestjs/common';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { IntakeService } from './intake.service.js';

/** A report may carry our whole mail back, and that of a stranger; what it says stands in its first pages. */
const MAX_MAIL_BYTES = 50 * 1024 * 1024;
const KEPT_BYTES = 512 * 1024;
const MAX_CLIENTS = 100;
const SOCKET_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * Takes the mail of the bounce domain from other servers: return paths, unsubscribe addresses and the postmaster, which
 * every domain must have (RFC 5321 §4.5.1). It never answers a mail and relays none.
 */
@Injectable()
export class BounceSmtpServer {
  #server: SMTPServer | null = null;
  readonly #logger = new Logger(BounceSmtpServer.name);

  constructor(private readonly intake: IntakeService) {}

  /** Returns the port, which is another one when 0 was asked for. */
  async listen(port: number, host: string): Promise<number> {
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      size: MAX_MAIL_BYTES,
      maxClients: MAX_CLIENTS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      closeTimeout: CLOSE_TIMEOUT_MS,
      onRcptTo: ({ address }, _session, done) =>
        done(this.intake.accepts(address) ? null : refusal(550, '5.1.1 there is no such address here')),
      onData: (stream, session, done) => {
        this.receive(stream, session).then(
          () => done(null, 'taken'),
          (error: unknown) => done(this.answerTo(error)),
        );
      },
    });
    // A client that drops its connection is its own affair.
    server.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      server.server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#server = server;
    const address = server.server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server) await new Promise<void>((resolve) => server.close(resolve));
  }

  private async receive(stream: SMTPServerDataStream, { envelope }: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    let kept = 0;
    for await (const chunk of stream) {
      const bytes = Buffer.from(chunk as Uint8Array).subarray(0, KEPT_BYTES - kept);
      kept += bytes.length;
      if (bytes.length > 0) chunks.push(bytes);
    }
    if (stream.sizeExceeded) throw refusal(552, '5.3.4 the mail is too large');
    await this.intake.receive({
      raw: Buffer.concat(chunks),
      envelopeTo: envelope.rcptTo.map(({ address }) => address),
      source: 'smtp',
    });
  }

  /** The mail was not counted, so the other side keeps it and tries again. */
  private answerTo(error: unknown): Error {
    if (error instanceof Error && 'responseCode' in error) return error;
    this.#logger.error(
      'a mail to the bounce domain could not be taken',
      error instanceof Error ? error.stack : '',
    );
    return refusal(451, '4.3.0 try again later');
  }
}

function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
