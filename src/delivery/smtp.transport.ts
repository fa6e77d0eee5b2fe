import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { CONFIG, type Config } from '../infra/config.js';
import { listHeaders } from './headers.js';
import type { RenderedMail } from './mail-renderer.service.js';
import type { ClaimedMessage, SendOutcome } from './message.js';

/** Shorter than the lease of a message by far: a stalled relay must not outlive it. */
const SOCKET_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 15_000;
const MAX_REPLY_CHARS = 500;

type Stage = 'connect' | 'envelope' | 'barrier' | 'body';

interface SmtpError extends Error {
  command?: string;
  responseCode?: number;
  response?: string;
}

/** One connection to the relay, used for one mail after the other. Not for two at once. */
export class SmtpLane {
  #connection: SMTPConnection | null = null;

  constructor(private readonly url: URL) {}

  /**
   * Sends one mail. `barrier` is asked after the relay's 354, when the next byte would be the body; when it says no, the
   * connection is cut before the final dot, so the relay has nothing (RFC 5321 §4.1.1.4).
   */
  async send(
    envelope: { from: string; to: string },
    raw: Buffer,
    barrier: () => Promise<boolean>,
  ): Promise<SendOutcome> {
    const reused = this.#connection !== null;
    const outcome = await this.attempt(envelope, raw, barrier);
    // A relay may end an idle session at the very moment we use it again; that says nothing about the mail.
    const stale = reused && outcome.kind === 'not_sent' && outcome.stage === 'envelope';
    return stale ? this.attempt(envelope, raw, barrier) : outcome;
  }

  /** Not while a mail is on the way: QUIT would be written into its body. */
  close(): void {
    this.#connection?.quit();
    this.#connection = null;
  }

  private async attempt(
    envelope: { from: string; to: string },
    raw: Buffer,
    barrier: () => Promise<boolean>,
  ): Promise<SendOutcome> {
    let stage: Stage = 'connect';
    let held = false;
    try {
      const connection = await this.connected();
      stage = 'envelope';
      const body = Readable.from(
        (async function* () {
          stage = 'barrier';
          if (!(await barrier())) {
            held = true;
            throw new Error('held by the barrier');
          }
          stage = 'body';
          yield raw;
        })(),
      );
      return await new Promise<SendOutcome>((resolve, reject) => {
        // One recipient per transaction, so that one reply is about one person.
        connection.send({ from: envelope.from, to: [envelope.to] }, body, (error, info) => {
          if (error) reject(error);
          else resolve({ kind: 'accepted', code: 250, reply: info.response });
        });
      });
    } catch (error) {
      this.drop();
      return held ? { kind: 'held' } : outcomeOf(error as SmtpError, stage);
    }
  }

  private drop(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  private async connected(): Promise<SMTPConnection> {
    if (this.#connection) return this.#connection;
    const { hostname, port, protocol, username, password } = this.url;
    const secure = protocol === 'smtps:';
    const local = hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]';
    const connection = new SMTPConnection({
      host: hostname,
      port: Number(port) || (secure ? 465 : 587),
      secure,
      requireTLS: !secure && !local,
      ignoreTLS: local,
      socketTimeout: SOCKET_TIMEOUT_MS,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
    });
    // Every loss also reaches the callback of what was under way; without a listener it would end the process.
    connection.on('error', () => undefined);
    connection.once('end', () => {
      if (this.#connection === connection) this.#connection = null;
    });
    try {
      await new Promise<void>((resolve, reject) => {
        connection.once('error', reject);
        connection.connect((error) => (error ? reject(error) : resolve()));
      });
      if (username !== '') await login(connection, { username, password });
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#connection = connection;
    return connection;
  }
}

async function login(
  connection: SMTPConnection,
  { username, password }: { username: string; password: string },
): Promise<void> {
  const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  await new Promise<void>((resolve, reject) => {
    connection.once('error', reject);
    connection.login(auth, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Only an answer about this recipient or this mail can reject it for good. A refused login or sender address is our own
 * trouble: the mail waits until it is put right.
 */
function outcomeOf({ message, command, responseCode, response }: SmtpError, stage: Stage): SendOutcome {
  if (stage === 'connect')
    return { kind: 'not_sent', stage, reason: (response ?? message).slice(0, MAX_REPLY_CHARS) };
  if (responseCode !== undefined && responseCode >= 400) {
    return {
      kind: 'refused',
      permanent: responseCode >= 500 && (command === 'RCPT TO' || command === 'DATA'),
      stage: command ?? stage,
      code: responseCode,
      reply: (response ?? message).slice(0, MAX_REPLY_CHARS),
    };
  }
  return stage === 'body'
    ? { kind: 'unknown', reason: message }
    : { kind: 'not_sent', stage, reason: message };
}

/** Turns a rendered mail into bytes and opens lanes to the relay. */
@Injectable()
export class SmtpTransport {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  lane(): SmtpLane {
    return new SmtpLane(new URL(this.config.smtpUrl));
  }

  /**
   * The mail as it goes over the wire, the same bytes but for the MIME boundary on every attempt. Recipients are
   * objects, never text: a text with a line break would be read as more recipients.
   */
  async bytes(message: ClaimedMessage, mail: RenderedMail): Promise<Buffer> {
    const composer = new MailComposer({
      from: { name: message.sender.name, address: message.sender.email },
      to: { name: message.subscriberName ?? '', address: message.address },
      subject: mail.subject,
      html: mail.html,
      text: mail.text,
      date: message.createdAt,
      messageId: message.messageIdHeader,
      headers: { ...listHeaders(message, mail.unsubscribeUrl) },
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    return composer.compile().build();
  }
}
