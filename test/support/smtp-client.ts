import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A mail server that brings us mail, one command at a time. */
export interface SmtpClient {
  greeting: string;
  /** Sends the line and returns the whole reply, `closed` when the other side hung up instead. */
  say(line: string): Promise<string>;
  /** Sends the text as it is, without waiting for anything but the connection. False: nobody reads any more. */
  pour(text: string | Buffer): Promise<boolean>;
  /** What was replied since, or `closed`. */
  reply(): Promise<string>;
  /** Goes on encrypted, after STARTTLS was agreed to. */
  startTls(): Promise<void>;
  close(): void;
}

/** `from`: another address of this machine. */
export async function openSmtpClient(port: number, from = '127.0.0.1'): Promise<SmtpClient> {
  let socket: Socket = connect({ port, host: '127.0.0.1', localAddress: from });
  let heard = '';
  let over = false;
  let wake = (): void => undefined;
  const listen = (to: Socket): void => {
    to.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
      wake();
    });
    to.on('error', () => undefined);
    to.on('close', () => {
      over = true;
      wake();
    });
  };
  listen(socket);
  const reply = async (): Promise<string> => {
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(heard)?.[0];
      if (whole !== undefined) {
        heard = heard.slice(whole.length);
        return whole.trim();
      }
      if (over) return 'closed';
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const pour = async (text: string | Buffer): Promise<boolean> => {
    if (over || socket.writableEnded) return false;
    if (socket.write(text)) return true;
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve);
      socket.once('close', () => resolve());
    });
    return !over;
  };
  return {
    greeting: await reply(),
    say: async (line) => {
      await pour(`${line}\r\n`);
      return reply();
    },
    pour,
    reply,
    startTls: async () => {
      socket.removeAllListeners();
      const secured = connectTls({ socket, rejectUnauthorized: false });
      await new Promise<void>((resolve, reject) => {
        secured.once('secureConnect', resolve);
        secured.once('error', reject);
      });
      socket = secured;
      listen(socket);
    },
    close: () => socket.destroy(),
  };
}

/** Brings one mail to one address; the reply to its last step. */
export async function deliver(port: number, to: string, mail: string, from?: string): Promise<string> {
  const client = await openSmtpClient(port, from);
  if (!client.greeting.startsWith('220')) return client.greeting;
  try {
    await client.say('EHLO mx.example.net');
    return await bring(client, to, mail);
  } finally {
    client.close();
  }
}

/** One mail of several of a connection that is open and has said EHLO: each connection waits 100 ms for its greeting. */
export async function bring(client: SmtpClient, to: string, mail: string): Promise<string> {
  await client.say('MAIL FROM:<>');
  const known = await client.say(`RCPT TO:<${to}>`);
  if (!known.startsWith('250')) return known;
  await client.say('DATA');
  return client.say(`${mail.replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..')}\r\n.`);
}
