import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { Injectable, Logger } from '@nestjs/common';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { DomainError } from '../values/domain-error.js';
import { FIRST_BYTES, BounceIntake } from './bounce-intake.service.js';
import { MailBeginning } from './mail-beginning.js';

/** A report may carry our whole mail back, which is far smaller; what it says stands in its first pages. */
export const MAX_MAIL_BYTES = 10 * 1024 * 1024;
/** Reports that are kept as a whole at the same time, in all 16 MiB: another one is asked to come later. */
export const MAX_WHOLE_REPORTS = 4;
export const MAX_CLIENTS = 100;
/** A provider has many hosts and opens few connections from each; nobody takes all the places. */
export const MAX_CLIENTS_PER_ADDRESS = 10;
/** As many as every server must take in one go (RFC 5321 §4.5.3.1.8); a report has one. */
export const MAX_RECIPIENTS = 100;
const SOCKET_TIMEOUT_MS = 60_000;
/** A whole conversation, though an octet comes now and then; a report needs seconds. */
export const CONVERSATION_MS = 300_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** Their mailbox shows it to whoever wrote. */
const LOST =
  '5.1.1 the mail that this address was in is not known here any more: please answer that mail to leave';

/** One connection. */
interface Caller {
  socket: Socket;
  address: string;
  /** Whether words may be written to it as they are. */
  isPlain: () => boolean;
  /** Whether it has named an address of ours, for which it must have seen a mail or know its postmaster. */
  known: boolean;
}

/** Files in PEM. */
interface TlsFiles {
  certFile: string;
  keyFile: string;
}

/**
 * Takes the mail of the bounce domain from other servers: return paths, unsubscribe addresses and the postmaster, which
 * every domain must have (RFC 5321 §4.5.1). It never answers a mail and relays none.
 */
@Injectable()
export class BounceSmtpServer {
  #server: SMTPServer | null = null;
  /** By peer, the oldest first. */
  readonly #callers = new Map<string, Caller>();
  #wholeReports = 0;
  readonly #logger = new Logger(BounceSmtpServer.name);

  constructor(private readonly intake: BounceIntake) {}

  /**
   * Returns the port, which is another one when 0 was asked for. STARTTLS is offered with `tls` only; throws
   * `BOUNCE_TLS_INVALID` when those files are none to offer it with.
   */
  async listen(port: number, host: string, tls: TlsFiles | null = null): Promise<number> {
    const keyPair = tls === null ? null : await readKeyPair(tls);
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: keyPair === null ? ['AUTH', 'STARTTLS'] : ['AUTH'],
      ...keyPair,
      disableReverseLookup: true,
      size: MAX_MAIL_BYTES,
      maxRecipients: MAX_RECIPIENTS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      closeTimeout: CLOSE_TIMEOUT_MS,
      onConnect: (session, done) => done(this.placeFor(session)),
      onSecure: (socket, session, done) => {
        const caller = this.#callers.get(peerIn(session));
        if (caller) caller.socket = socket;
        done();
      },
      // Also of those that went on encrypted, whose first socket is not listened to any more.
      onClose: (session) => this.#callers.delete(peerIn(session)),
      onRcptTo: ({ address }, session, done) =>
        done(this.take(address, session) ? null : refusal(550, '5.1.1 there is no such address here')),
      onData: (stream, session, done) => {
        this.receive(stream, session).then(
          () => done(null, 'taken'),
          (error: unknown) => done(this.answerTo(error)),
        );
      },
    });
    // A client that drops its connection is its own affair.
    server.on('error', () => undefined);
    server.server.on('connection', (socket: Socket) => this.watch(socket));
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

  private watch(socket: Socket): void {
    const peer = peerOf(socket);
    const address = peer.slice(0, peer.indexOf('|'));
    const tooLong = setTimeout(() => socket.destroy(), CONVERSATION_MS).unref();
    const gone = (): void => {
      clearTimeout(tooLong);
      this.#callers.delete(peer);
    };
    socket.once('close', gone);
    // Nobody else listens before the server greets, and an error that nobody hears ends the process.
    socket.on('error', () => undefined);
    // smtp-server takes all listeners off a socket that is encrypted from here on.
    const isPlain = (): boolean => socket.listeners('close').includes(gone);
    this.#callers.set(peer, { socket, address, isPlain, known: false });
    if (this.#callers.size > MAX_CLIENTS) this.makeRoom();
  }

  /**
   * Whoever has not named an address of ours goes first, from where the most such come, the one that has been here the
   * longest: those who only hold places keep nobody out who brings a report. They may come again.
   */
  private makeRoom(): void {
    const callers = [...this.#callers].map(([peer, caller]) => ({ peer, ...caller }));
    const strangers = callers.filter(({ known }) => !known);
    const from = (address: string): number => strangers.filter((one) => one.address === address).length;
    const most = Math.max(...strangers.map(({ address }) => from(address)));
    const leaves = strangers.find(({ address }) => from(address) === most) ?? callers.at(-1);
    if (!leaves) return;
    const { peer, socket, isPlain } = leaves;
    // At once: the next one that comes must not choose the same, nor wait for one that reads nothing.
    this.#callers.delete(peer);
    if (isPlain() && socket.writable) socket.write('421 4.3.2 too many connections, try again later\r\n');
    socket.destroy();
  }

  private take(address: string, session: SMTPServerSession): boolean {
    const isOurs = this.intake.accepts(address);
    const caller = this.#callers.get(peerIn(session));
    if (isOurs && caller) caller.known = true;
    return isOurs;
  }

  private placeFor({ remoteAddress }: SMTPServerSession): Error | null {
    const open = [...this.#callers.values()].filter(({ address }) => address === remoteAddress).length;
    return open > MAX_CLIENTS_PER_ADDRESS
      ? refusal(421, '4.7.0 too many connections from your address')
      : null;
  }

  private async receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const kept = new MailBeginning(FIRST_BYTES, (head) => this.intake.bytesToKeep(head));
    let place: 'none' | 'has' | 'refused' = 'none';
    try {
      for await (const chunk of stream) {
        kept.add(Buffer.from(chunk as Uint8Array));
        if (kept.wantsMore && place === 'none') {
          place = this.#wholeReports < MAX_WHOLE_REPORTS ? 'has' : 'refused';
          if (place === 'has') this.#wholeReports++;
          else kept.drop();
        }
        if (stream.sizeExceeded) this.hangUp(session);
      }
      if (place === 'refused') throw refusal(451, '4.3.2 too many large reports at once, try again later');
      await this.hand(kept.bytes(), session);
    } finally {
      if (place === 'has') this.#wholeReports--;
    }
  }

  private async hand(raw: Buffer, session: SMTPServerSession): Promise<void> {
    const taken = await this.intake.receive({
      raw,
      envelopeTo: session.envelope.rcptTo.map(({ address }) => address),
      source: 'smtp',
      client: session.remoteAddress,
      sender: session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address,
    });
    if (taken === 'lost') throw refusal(550, LOST);
  }

  /** Who says the size is refused before the mail; who does not is not listened to until the end. */
  private hangUp(session: SMTPServerSession): never {
    const socket = this.#callers.get(peerIn(session))?.socket;
    socket?.end(`552 5.3.4 the mail is larger than ${MAX_MAIL_BYTES} bytes\r\n`, () => socket.destroy());
    throw refusal(552, '5.3.4 the mail is too large');
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

async function readKeyPair({ certFile, keyFile }: TlsFiles): Promise<{ cert: string; key: string }> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    throw new DomainError(
      'BOUNCE_TLS_INVALID',
      `BOUNCE_TLS_CERT and BOUNCE_TLS_KEY: name the files of a certificate and its key in PEM (${error instanceof Error ? error.message : ''})`,
    );
  }
}

/** As smtp-server names them in a session. */
function peerOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return `${remoteAddress.replace(/^::ffff:/i, '')}|${remotePort}`;
}

function peerIn({ remoteAddress, remotePort }: SMTPServerSession): string {
  return `${remoteAddress}|${remotePort}`;
}

function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}
