import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { atLeast, fact, median, type Row } from './bench.js';
import type { SendResult } from './product.js';
import type { SignerResult, SignerTask } from './signer.process.js';

const run = promisify(execFile);
const TASKSET = '/usr/bin/taskset';

/** What openssl signs, and what our own signing stage makes of it; a second each. */
export interface SignRates {
  /** RSA-2048 signatures of one core, as `openssl speed` says. */
  openssl: number;
  /** The same on all cores at once, which is less than so many times as much where two cores share one. */
  opensslAll: number;
  /** The signing stage alone, held to one core: mails a second of processor time. */
  alone: number;
  /** The same with enough mails under way for all cores: mails a second by the clock. */
  aloneAll: number;
}

/** `mail`: one of the product's own, whole and unsigned. */
export async function signRates(mail: string, seconds: number, cores: number): Promise<SignRates> {
  // Those that are compared stand next to each other: a machine may be a third slower a minute later.
  const openssl = await opensslSigns(seconds, 1);
  const one = await signer({ mail, seconds, atOnce: 4 }, 1);
  const opensslAll = await opensslSigns(seconds, cores);
  const all = await signer({ mail, seconds, atOnce: cores * 4 }, cores);
  return { openssl, opensslAll, alone: one.perProcessorSecond, aloneAll: all.perSecond };
}

async function opensslSigns(seconds: number, cores: number): Promise<number> {
  const many = cores === 1 ? [] : ['-multi', String(cores)];
  const { stdout } = await run('openssl', ['speed', '-seconds', String(seconds), ...many, 'rsa2048']);
  const perSecond = Number(/^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)/m.exec(stdout)?.[1]);
  if (!(perSecond > 0)) throw new Error(`openssl speed says: ${stdout}`);
  return perSecond;
}

async function signer(task: SignerTask, cores: number): Promise<SignerResult> {
  // `taskset` is everywhere where Linux is; it becomes Node, which finds its parent all the same.
  const onOne = cores === 1 && existsSync(TASKSET);
  const pinned = onOne ? { execPath: TASKSET, execArgv: ['-c', '0', process.execPath] } : {};
  const child = fork(join(import.meta.dirname, 'signer.process.js'), pinned);
  child.send(task);
  const [result] = (await once(child, 'message')) as [SignerResult];
  return result;
}

interface Sent {
  /** As many workers as cores, without a signature and with one. */
  unsigned: readonly SendResult[];
  signed: readonly SendResult[];
  mails: number;
  cores: number;
}

/**
 * Three answers, because a machine that signs quickly turns the first one into a question about sending.
 *
 * Signed mails against signatures of openssl alone: the first rows, in `sending`. Where a signature costs less than the
 * rest of a mail, no sender reaches their bar, and {@link reach} says how near this machine lets anybody come.
 *
 * "the signing stage alone": canonical headers, hash of the body, RSA and the finished header line of a whole mail, against
 * bare RSA signatures. What is missing from 1 is what our stage adds. One core by processor time; all cores by the
 * clock, against openssl on all of them.
 *
 * "the machine's limit": a mail cannot cost less processor time than it does unsigned, all processes together, and one
 * signature of openssl more. So many the cores of this machine could send at most if none of them ever waited.
 */
export function signingRows(rates: readonly SignRates[], sent: Sent): Row[] {
  const of = (value: (rate: SignRates) => number): number => median(rates.map(value));
  const { cores } = sent;
  const limit = limitOf(rates, sent);
  const rate = median(sent.signed.map(({ perSecond }) => perSecond));
  const addedSeconds =
    processorSeconds(sent.signed, sent.mails) - processorSeconds(sent.unsigned, sent.mails);
  return [
    fact(
      `sending: RSA-2048 signatures of ${cores} cores at once`,
      of(({ opensslAll }) => opensslAll),
      'signs/s',
      'openssl speed -multi',
    ),
    fact(
      'sending: the signing stage alone, one core',
      of(({ alone }) => alone),
      'mails/s',
      'of processor time',
    ),
    fact(
      `sending: the signing stage alone, ${cores} cores`,
      of(({ aloneAll }) => aloneAll),
      'mails/s',
    ),
    atLeast(
      'sending: the signing stage alone / openssl, one core',
      of(({ alone, openssl }) => alone / openssl),
      0.8,
    ),
    atLeast(
      'sending: the signing stage alone / openssl, all cores at once',
      of(({ aloneAll, opensslAll }) => aloneAll / opensslAll),
      0.8,
    ),
    fact(
      'sending: processor time that signing adds to a mail',
      addedSeconds * 1000,
      'ms',
      `${(signatureSeconds(rates, cores) * 1000).toFixed(3)} of it for RSA as openssl does it`,
    ),
    fact("sending: signed, the machine's limit", limit, 'mails/s', 'all cores always busy'),
    atLeast("sending: signed, as many workers as cores / the machine's limit", rate / limit, 0.8),
  ];
}

/** In words, how near to the signatures of openssl alone this machine lets anybody come. */
export function reach(rates: readonly SignRates[], sent: Sent): string {
  const { unsigned, mails, cores } = sent;
  const bar = median(rates.map(({ openssl }) => openssl)) * cores;
  const ms = (seconds: number): string => (seconds * 1000).toFixed(3);
  return (
    `signed: with all cores busy, a signature takes ${ms(signatureSeconds(rates, cores))} ms of processor time and the rest of a ` +
    `mail ${ms(processorSeconds(unsigned, mails))} ms; a machine that never waited would send ${(limitOf(rates, sent) / bar).toFixed(2)} of ` +
    `the mails that openssl's signatures of one core times ${cores} stand for`
  );
}

function limitOf(rates: readonly SignRates[], { unsigned, mails, cores }: Sent): number {
  return cores / (processorSeconds(unsigned, mails) + signatureSeconds(rates, cores));
}

/** Of one signature while all cores sign. */
function signatureSeconds(rates: readonly SignRates[], cores: number): number {
  return cores / median(rates.map(({ opensslAll }) => opensslAll));
}

/** Of one mail, in all processes. */
function processorSeconds(results: readonly SendResult[], mails: number): number {
  return median(results.map(({ cpu }) => (cpu.workers + cpu.postgres + cpu.relay) / mails));
}
