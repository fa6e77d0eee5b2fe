import type { AddressInfo, Socket } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import { PromptSmtpServer } from '../../src/infra/mailbox/prompt-smtp-server.js';

export interface SunkMail {
  from: string;
  to: string[];
  raw: string;
  parsed: Email;
}

/** A reply code refuses with it, in words of one's own where they matter; `drop` ends the connection without a word. */
export type SinkAnswer = number | { code: number; text: string } | 'drop' | undefined;

/** A real SMTP server that keeps what it takes and misbehaves where a test tells it to. */
export interface SmtpSink {
  url: string;
  mails: SunkMail[];
  /** Bodies of which at least the first byte arrived, taken or not. */
  bodiesBegun: number;
  /** Connections so far. */
  connections: number;
  onConnect: () => Promise<SinkAnswer>;
  onSender: (address: string) => Promise<SinkAnswer>;
  /** Before the reply to RCPT TO: the moment between claim and body. */
  onRecipient: (address: string) => Promise<SinkAnswer>;
  /** After the final dot, before the reply to it; `clientPort` tells which connection it came by. */
  onBody: (clientPort: number, to: readonly string[]) => Promise<SinkAnswer>;
  close(): Promise<void>;
}

const accept = async (): Promise<SinkAnswer> => undefined;

/** `host`: an address of this machine; `smtpUtf8`: whether it takes addresses beyond ASCII. */
export async function openSmtpSink({ host = '127.0.0.1', smtpUtf8 = true } = {}): Promise<SmtpSink> {
  const sockets = new Map<number, Socket>();
  const answer = (
    session: SMTPServerSession,
    what: SinkAnswer,
    done: (error?: Error | null) => void,
  ): void => {
    if (what === 'drop') return void sockets.get(session.remotePort)?.destroy();
    if (what === undefined) return done(null);
    const { code, text } = typeof what === 'number' ? { code: what, text: 'as the test says' } : what;
    done(Object.assign(new Error(text), { responseCode: code }));
  };
  const server = new PromptSmtpServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    hideSMTPUTF8: !smtpUtf8,
    logger: false,
    closeTimeout: 200,
    onConnect: (session, done) => void sink.onConnect().then((what) => answer(session, what, done)),
    onMailFrom: ({ address }, session, done) =>
      void sink.onSender(address).then((what) => answer(session, what, done)),
    onRcptTo: ({ address }, session, done) =>
      void sink.onRecipient(address).then((what) => answer(session, what, done)),
    onData: (stream, session, done) => void take(stream, session, done),
  });
  server.server.on('connection', (socket: Socket) => {
    sink.connections++;
    sockets.set(socket.remotePort ?? 0, socket);
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.server.address() as AddressInfo;

  async function take(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    done: (error?: Error | null) => void,
  ): Promise<void> {
    const raw = await read(stream).catch(() => null);
    // Cut before the dot: there is nobody left to answer.
    if (raw === null) return;
    const to = session.envelope.rcptTo.map(({ address }) => address);
    const what = await sink.onBody(session.remotePort, to);
    if (what === undefined || what === 'drop') sink.mails.push(await mailOf(raw, session));
    answer(session, what, done);
  }

  async function read(stream: SMTPServerDataStream): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
      if (chunks.length === 0) sink.bodiesBegun++;
      chunks.push(Buffer.from(chunk as Uint8Array));
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  const sink: SmtpSink = {
    url: `smtp://${host}:${port}`,
    mails: [],
    bodiesBegun: 0,
    connections: 0,
    onConnect: accept,
    onSender: accept,
    onRecipient: accept,
    onBody: accept,
    close: () => new Promise<void>((resolve) => server.close(resolve)),
  };
  return sink;
}

async function mailOf(raw: string, { envelope }: SMTPServerSession): Promise<SunkMail> {
  return {
    from: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
    to: envelope.rcptTo.map(({ address }) => address),
    raw,
    parsed: await PostalMime.parse(raw),
  };
}
