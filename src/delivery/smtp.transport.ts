import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { CONFIG, type Config } from '../infra/config.js';
import type { RenderedMail } from './mail-renderer.service.js';
import type { ClaimedMessage, SendOutcome } from './message.js';

/** Shorter than the lease of a message by far: a stalled relay must not outlive it. */
const SOCKET_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 15_000;

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
    let stage: 'connect' | 'envelope' | 'body' = 'connect';
    let held = false;
    try {
      const connection = await this.connected();
      stage = 'envelope';
      const body = Readable.from(
        (async function* () {
          if (!(await barrier())) {
            held = true;
            throw new Error('held by the barrier');
          }
          stage = 'body';
          yield raw;
        })(),
      );
      body.once('error', () => this.drop());
      return await new Promise<SendOutcome>((resolve, reject) => {
        connection.once('error', reject);
        connection.send({ from: envelope.from, to: [envelope.to] }, body, (error, info) => {
          connection.removeListener('error', reject);
          if (error) reject(error);
          else resolve({ kind: 'accepted', code: 250, reply: String(info?.response ?? '') });
        });
      });
    } catch (error) {
      return held ? (this.drop(), { kind: 'held' }) : this.failure(error as SmtpError, stage);
    }
  }

  close(): void {
    this.#connection?.quit();
    this.#connection = null;
  }

  private drop(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  private failure(error: SmtpError, stage: 'connect' | 'envelope' | 'body'): SendOutcome {
    this.drop();
    const code = error.responseCode;
    if (code !== undefined && code >= 400) {
      const step = error.command ?? stage;
      return {
        kind: 'refused',
        permanent: code >= 500,
        stage: step,
        code,
        reply: (error.response ?? error.message).slice(0, 500),
      };
    }
    if (stage === 'body') return { kind: 'unknown', reason: error.message };
    return { kind: 'not_sent', stage, reason: error.message };
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
    connection.on('error', () => undefined);
    connection.once('end', () => {
      if (this.#connection === connection) this.#connection = null;
    });
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    if (username !== '') {
      await new Promise<void>((resolve, reject) => {
        connection.login(
          { user: decodeURIComponent(username), pass: decodeURIComponent(password) },
          (error) => (error ? reject(error) : resolve()),
        );
      });
    }
    this.#connection = connection;
    return connection;
  }
}

/** Turns a rendered mail into bytes and opens lanes to the relay. */
@Injectable()
export class SmtpTransport {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  lane(): SmtpLane {
    return new SmtpLane(new URL(this.config.smtpUrl));
  }

  /**
   * The mail as it goes over the wire. Recipients are objects, never text: a text with a line break would be read as
   * more recipients. Marketing mail carries RFC 2369 and RFC 8058 headers, transactional mail neither.
   */
  async bytes(message: ClaimedMessage, mail: RenderedMail): Promise<Buffer> {
    const { sender, funnelKey, kind, stepKey } = message;
    const domain = sender.email.slice(sender.email.lastIndexOf('@') + 1);
    const marketing = message.class === 'marketing';
    const composer = new MailComposer({
      from: { name: sender.name, address: sender.email },
      to: { name: message.subscriberName ?? '', address: message.address },
      subject: mail.subject,
      html: mail.html,
      text: mail.text,
      date: message.createdAt,
      messageId: message.messageIdHeader,
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(marketing
        ? {
            list: { id: { url: `${funnelKey}.${domain}`, comment: '' } },
            headers: {
              'List-Unsubscribe': { prepared: true, foldLines: false, value: `<${mail.unsubscribeUrl}>` },
              'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
              'Feedback-ID': `${stepKey ?? 'none'}:${kind}:${funnelKey}:wellspring`,
            },
          }
        : {}),
    });
    return composer.compile().build();
  }
}
