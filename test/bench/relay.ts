import { fork, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { freePort } from '../../src/infra/free-port.js';
import { atSignal } from '../support/at-signal.js';

/** The peer that takes all mails of a benchmark, in a process of its own. */
export interface Relay {
  name: string;
  url: string;
  pid: number;
  close(): Promise<void>;
}

const SMTP_SINK = '/usr/sbin/smtp-sink';
const START_TIMEOUT_MS = 10_000;

/** Debian's `smtp-sink` where its package is installed, else the tests' own counting sink. */
export async function startRelay(): Promise<Relay> {
  return existsSync(SMTP_SINK) ? startSmtpSink() : startOwnSink();
}

async function startSmtpSink(): Promise<Relay> {
  const port = await freePort();
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(SMTP_SINK, [...asRoot, '-m', '1000', `127.0.0.1:${port}`, '1000'], { stdio: 'ignore' });
  const answers = async (): Promise<boolean> => {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([
      once(socket, 'data').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    return up;
  };
  if (!(await becomesTrue(answers, START_TIMEOUT_MS))) throw new Error(`${SMTP_SINK} does not answer`);
  return relayOf("Debian's smtp-sink", port, child);
}

async function startOwnSink(): Promise<Relay> {
  const child = fork(join(import.meta.dirname, '../support/counting-sink.process.js'));
  child.send({ options: {} });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return relayOf('own sink', port, child);
}

function relayOf(name: string, port: number, child: ChildProcess): Relay {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const forgetSignal = atSignal(() => child.kill('SIGKILL'));
  const close = async (): Promise<void> => {
    forgetSignal();
    child.kill('SIGKILL');
    await ended;
  };
  return { name, url: `smtp://127.0.0.1:${port}`, pid: child.pid ?? 0, close };
}
