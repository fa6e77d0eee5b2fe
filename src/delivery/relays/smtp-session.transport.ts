import type { Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { RelayTrust } from '../../../config/relays.js';
import { tlsOptions } from './relay-tls.transport.js';

/** For any reply but the one to the final dot: giving up before that loses nothing. */
export const SOCKET_TIMEOUT_MS = 60_000;
/** RFC 5321 §4.5.3.2.6, for the body that is still on its way and the reply. Whoever gives up earlier does not know of mails that were taken. */
const FINAL_REPLY_MS = 10 * 60_000;
/** From here on a relay is slow: no other mail waits for it. */
const SLOW_AFTER_MS = 30_000;
const CONNECT_TIMEOUT_MS = 15_000;
/**
 * For a whole reply to one command, however it comes: a relay that sends a byte now and then is never silent. RFC 5321
 * §4.5.3.2 would have five minutes for MAIL and RCPT and two for DATA; the lease of a mail has five for all of it, and a
 * relay that takes a minute for each of them is out of order.
 */
export const COMMAND_LIMIT_MS = 60_000;
/** The same for greeting, EHLO, STARTTLS and AUTH together. With the three commands of an envelope it ends within the lease. */
const OPENING_LIMIT_MS = 90_000;
/** A reply that does not end is an attack or a bug of the relay. RFC 5321 §4.5.3.1.5 allows 512 octets a line. */
const MAX_REPLY_CHARS = 64 * 1024;
const REPLY_LINE = /^(\d{3})([ -]|$)/;

const LATE = 'the relay did not end its answer in time';

/** No whole answer came within the time a relay has. */
export class RelaySilent extends Error {
  override readonly name = 'RelaySilent';
}

export interface SmtpReply {
  code: number;
  /** The whole reply without line breaks between its lines. */
  text: string;
}

interface SmtpExtensions {
  pipelining: boolean;
  smtpUtf8: boolean;
  /** Octets the relay takes; null when it does not say. */
  maxSize: number | null;
}

/**
 * An open, greeted and logged-in connection. Opening it, with STARTTLS and AUTH, is nodemailer's part; after that we
 * speak ourselves, because its `send` asks three times and waits three times where PIPELINING (RFC 2920) takes one.
 */
export class SmtpSession {
  #partial = '';
  #lines: string[] = [];
  #replies: SmtpReply[] = [];
  #waiting: { resolve: (reply: SmtpReply) => void; reject: (error: Error) => void }[] = [];
  #ended: Error | null = null;
  /** While the reply to a final dot is awaited: since when, and who is told once if it takes long. */
  #final: { sinceMs: number; slow: (() => void) | null } | null = null;
  /** Ends that wait. The socket's own time would begin anew with each piece of a body that the relay takes. */
  #late: NodeJS.Timeout | undefined;

  private constructor(
    private readonly socket: Socket,
    readonly extensions: SmtpExtensions,
    /** For the record of the attempt: `TLSv1.3 TLS_AES_256_GCM_SHA384`, or null without TLS. */
    readonly tls: string | null,
  ) {
    socket.removeAllListeners('data').removeAllListeners('timeout');
    socket.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')));
    socket.on('timeout', () => this.#silent());
    socket.on('error', (error: Error) => this.#end(error));
    socket.on('end', () => this.#end(new Error('the relay closed the connection')));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
    socket.setTimeout(SOCKET_TIMEOUT_MS);
    socket.setNoDelay(true);
  }

  /** Rejects with nodemailer's error: `responseCode` and `command` say what the relay refused. */
  static async open(url: URL, trust: RelayTrust, limitMs = OPENING_LIMIT_MS): Promise<SmtpSession> {
    const { hostname, port, username, password } = url;
    const options = tlsOptions(url, trust);
    const connection = new SMTPConnection({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port) || (options.secure ? 465 : 587),
      ...options,
      socketTimeout: SOCKET_TIMEOUT_MS,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
    });
    // Every loss reaches the callback of what was under way; without a listener it would end the process.
    connection.on('error', () => undefined);
    const late = setTimeout(() => {
      if (connection._socket) connection._socket.destroy(new RelaySilent(LATE));
    }, limitMs);
    try {
      await step((done) => connection.connect(done), connection);
      const extensions = extensionsOf(connection.lastServerResponse || '');
      if (username !== '') {
        const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
        await step((done) => connection.login(auth, done), connection);
      }
      const socket = connection._socket;
      if (!socket || socket.destroyed) throw new Error('the relay closed the connection');
      return new SmtpSession(socket, extensions, tlsOf(socket));
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  write(...chunks: (string | Buffer)[]): void {
    if (this.#ended) return;
    this.socket.cork();
    for (const chunk of chunks) this.socket.write(chunk as string, 'utf8');
    this.socket.uncork();
  }

  /** The relay's next reply, in the order of the commands. Rejects when the connection ends before it. */
  async reply(): Promise<SmtpReply> {
    const ready = this.#replies.shift();
    if (ready) return ready;
    if (this.#ended) throw this.#ended;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /**
   * As `reply`, to the final dot, which may take ten minutes, counted from when it was given to the system and not from when
   * the relay has read it. `slow` is called when it takes longer than half a minute.
   */
  async finalReply(slow: () => void): Promise<SmtpReply> {
    const reply = this.reply();
    if (this.#waiting.length > 0) {
      this.#final = { sinceMs: performance.now(), slow };
      this.#waitOn();
    }
    return reply;
  }

  /** The same, whole within this time of now. */
  async replyWithin(limitMs: number): Promise<SmtpReply> {
    if (this.#replies.length > 0) return this.reply();
    const late = setTimeout(() => this.#end(new RelaySilent(LATE)), limitMs);
    return this.reply().finally(() => clearTimeout(late));
  }

  /** At once and without a word: before the final dot, the relay has nothing (RFC 5321 §4.1.1.4). */
  destroy(): void {
    this.#end(new Error('we ended the connection'));
  }

  /** Only between two mails: QUIT would be written into a body. */
  quit(): void {
    if (!this.#ended) this.socket.end('QUIT\r\n');
    this.#ended ??= new Error('we said good-bye');
    setTimeout(() => this.socket.destroy(), 2_000).unref();
  }

  #read(data: string): void {
    const lines = (this.#partial + data).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) this.#take(line.replace(/\r$/, ''));
    if (this.#partial.length > MAX_REPLY_CHARS) this.#end(new Error('the reply of the relay does not end'));
    this.#waitOn();
  }

  #take(line: string): void {
    const [, code, goesOn] = REPLY_LINE.exec(line) ?? [];
    if (code === undefined) return this.#end(new Error('the relay does not speak SMTP'));
    this.#lines.push(line);
    if (goesOn === '-') {
      if (this.#lines.length > 1_000) this.#end(new Error('the reply of the relay does not end'));
      return;
    }
    const reply = { code: Number(code), text: this.#lines.join(' ') };
    this.#lines = [];
    if (this.#final) this.socket.setTimeout(SOCKET_TIMEOUT_MS);
    this.#final = null;
    clearTimeout(this.#late);
    const first = this.#waiting.shift();
    if (first) first.resolve(reply);
    else this.#replies.push(reply);
  }

  /** Neither half a reply nor a body that is taken bit by bit gives the relay more time. */
  #waitOn(): void {
    if (!this.#final || this.#ended) return;
    const { sinceMs, slow } = this.#final;
    const leftMs = Math.max(1, sinceMs + (slow ? SLOW_AFTER_MS : FINAL_REPLY_MS) - performance.now());
    this.socket.setTimeout(leftMs);
    clearTimeout(this.#late);
    this.#late = setTimeout(() => this.#silent(), leftMs);
  }

  /** While a mail waits at its barrier it is the relay that waits for us: it is given its time anew. */
  #silent(): void {
    const slow = this.#final?.slow;
    if (this.#final && slow) {
      this.#final.slow = null;
      this.#waitOn();
      return slow();
    }
    if (this.#waiting.length > 0) this.#end(new RelaySilent('the relay did not answer in time'));
    else if (!this.#ended) this.socket.setTimeout(SOCKET_TIMEOUT_MS);
  }

  #end(reason: Error): void {
    if (this.#ended) return;
    this.#ended = reason;
    clearTimeout(this.#late);
    this.socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}

async function step(
  run: (done: (error?: Error | null) => void) => void,
  connection: SMTPConnection,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    connection.once('error', reject);
    run((error) => (error ? reject(error) : resolve()));
  });
}

/** What the answer to EHLO offers (RFC 5321 §4.1.1.1). */
function extensionsOf(ehlo: string): SmtpExtensions {
  const keywords = new Map(
    ehlo.split(/\r?\n/).map((line) => {
      const [keyword = '', ...parameters] = line
        .replace(/^\d{3}[ -]/, '')
        .trim()
        .toUpperCase()
        .split(/\s+/);
      return [keyword, parameters] as const;
    }),
  );
  const size = Number(keywords.get('SIZE')?.[0]);
  return {
    pipelining: keywords.has('PIPELINING'),
    smtpUtf8: keywords.has('SMTPUTF8'),
    maxSize: Number.isSafeInteger(size) && size > 0 ? size : null,
  };
}

function tlsOf(socket: Socket): string | null {
  if (!('getCipher' in socket) || typeof socket.getCipher !== 'function') return null;
  const { name, version } = socket.getCipher() as { name: string; version: string };
  return `${version} ${name}`;
}
